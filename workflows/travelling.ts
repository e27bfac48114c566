import { isReply } from "../contracts/agent-messages.ts";
import { jsonBytes, type Json, type JsonObject } from "../contracts/json.ts";
import { COUNTER } from "./ledger.ts";
import type { WalkState } from "./walk.ts";

/** About what a reference takes in the place of a value. */
export const REFERENCE_BYTES = 120;

/** What a run remembers, and how small it can be made: values of people's data may travel as references. */
export interface Weight {
  bytes: number;
  /** With all values as references that can be. */
  leastBytes: number;
  /** Those that are none yet, the largest first. */
  heavy: Json[];
}

export function weigh(state: WalkState): Weight {
  const heavy = new Map<Json, number>();
  let saved = 0;
  exchanged(state, (value) => {
    const size = jsonBytes(value);
    if (size > 2 * REFERENCE_BYTES) {
      heavy.set(value, size);
      saved += size - REFERENCE_BYTES;
    }
    return value;
  });
  const bytes = jsonBytes(state as unknown as Json);
  return { bytes, leastBytes: bytes - saved, heavy: [...heavy].toSorted(([, a], [, b]) => b - a).map(([value]) => value) };
}

/**
 * The state with each value exchanged for which a reference may stand: expressions, lists and schemas read it where it is stored. What
 * the walk itself looks into stays.
 */
export function exchanged(state: WalkState, exchange: (value: Json) => Json): WalkState {
  const each = (values: JsonObject): JsonObject => mapped(values, (_, value) => exchange(value));
  const problem = (given: Json): Json => mapped(given as JsonObject, (name, value) => (looked.has(name) ? value : exchange(value)));
  const { ledger, mailbox } = state;
  return {
    ...state,
    vars: each(state.vars),
    ledger: {
      ...ledger,
      entries: ledger.entries.map(([path, entry]) => [path, { ...entry, output: exchange(entry.output), exports: each(entry.exports) }]),
      places: ledger.places.map(([path, place]) => [path, placed(path, place, { exchange, each, problem })]),
      ...(ledger.throws
        ? {
            throws: ledger.throws.map(([path, thrown]) => {
              if ("fault" in thrown) return [path, { fault: problem(thrown.fault as Json) as typeof thrown.fault }];
              return [path, "ended" in thrown ? { ...thrown, output: exchange(thrown.output) } : thrown];
            }),
          }
        : {}),
    },
    undos: state.undos.map((undo) => ("page" in undo ? undo : { ...undo, names: each(undo.names), steps: each(undo.steps) })),
    mailbox: {
      ...mailbox,
      unread: mailbox.unread.map(({ event, ...rest }) => ({
        ...rest,
        event: isReply(event.event) ? event : { ...event, data: exchange(event.data) },
      })),
    },
  };
}

interface Exchange {
  exchange: (value: Json) => Json;
  each: (values: JsonObject) => JsonObject;
  problem: (given: Json) => Json;
}

/** What open steps note of people's data; loops and streams under their counters. */
function placed(path: string, place: JsonObject, { exchange, each, problem }: Exchange): JsonObject {
  return mapped(place, (name, value) => {
    if (name === "items" || name === "last" || name === "output") return exchange(value);
    if (name === "failed") return problem(value);
    if (name === "exports") return each(value as JsonObject);
    if (name === "asked") return mapped(value as JsonObject, (field, given) => (field === "payload" ? exchange(given) : given));
    return name === "stream" && path.endsWith(COUNTER) ? placed(path, value as JsonObject, { exchange, each, problem }) : value;
  });
}

/** Of a problem: what catches it, what people read of it, and what the walk decides by. */
const looked: ReadonlySet<string> = new Set(["type", "code", "status", "title", "detail", "instance", "childStep", "usage", "budgets"]);

const mapped = (values: JsonObject, change: (name: string, value: Json) => Json): JsonObject =>
  Object.fromEntries(
    Object.entries(values)
      // JSON has none of them.
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, change(name, value)]),
  );
