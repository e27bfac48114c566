import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { newestFirst } from "../contracts/semver.ts";
import { isJsonText } from "./text.ts";

/** The place after which the next page begins: the sort key of the last row. Opaque to clients. */
export type Place = [number, string];

/** base64url, so that a cursor stands in a URL as it is. */
export const encodeCursor = (place: Place): string => Buffer.from(JSON.stringify(place)).toString("base64url");

/** `max` is the largest number that the column takes. */
export function decodeCursor(cursor: string | undefined, max: number): Place | undefined {
  if (cursor === undefined) return undefined;
  const place = parsePlace(cursor, max);
  if (!place) throw unknownCursor();
  return place;
}

export const unknownCursor = (): Fault => new Fault("bad_request", "The cursor is not one of ours; take `page.next` of the page before.");

export const placeMax = { time: Date.UTC(9_999, 0), seq: 2 ** 31 - 1 } as const;

/** A page out of one row more than was asked for: the surplus row says that there is more. */
export function pageOf<Row>(
  rows: Row[],
  limit: number,
  view: { item: (row: Row) => JsonObject; cursor: (row: Row) => string },
): JsonObject {
  const shown = rows.slice(0, limit);
  const hasMore = rows.length > limit;
  const next = hasMore ? view.cursor(shown.at(-1)!) : null;
  return { data: shown.map(view.item), page: { next, hasMore } };
}

/** A page of versions, highest first. A version never goes away: the last of the page before is there. */
export function pageOfVersions(
  rows: readonly { version: string }[],
  { cursor, limit }: { cursor?: string | undefined; limit: number },
): { shown: string[]; page: JsonObject } {
  const versions = rows.toSorted(newestFirst).map(({ version }) => version);
  const last = decodeCursor(cursor, 0)?.[1];
  const from = last === undefined ? 0 : versions.indexOf(last) + 1;
  if (last !== undefined && from === 0) throw unknownCursor();
  const shown = versions.slice(from, from + limit);
  const hasMore = versions.length > from + limit;
  return { shown, page: { next: hasMore ? encodeCursor([0, shown.at(-1)!]) : null, hasMore } };
}

/** Rows after the place, for a list that is newest first and, within a millisecond, by id. */
export const olderThan = <Field extends string>(field: Field, place: Place | undefined): object => {
  if (!place) return {};
  const at = new Date(place[0]);
  // The first condition lets Postgres begin in the middle of the index.
  return { [field]: { lte: at }, OR: [{ [field]: { lt: at } }, { id: { gt: place[1] } }] };
};

function parsePlace(cursor: string, max: number): Place | undefined {
  let value: Json;
  try {
    value = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")) as Json;
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [number, text] = value;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0 || number > max) return undefined;
  return typeof text === "string" && isJsonText(text) ? [number, text] : undefined;
}
