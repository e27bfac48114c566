import { Fault } from "../contracts/faults.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Entry, Undo } from "../contracts/activities.ts";
import type { UnreadEvent } from "../contracts/messages.ts";
import { ownOutputs } from "../language/ledger.ts";
import { findStep } from "../language/plan-steps.ts";
import { store } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { entriesOf, type Exports } from "../prisma/run-log.ts";
import type { Source } from "./ledger.ts";

/** Steps read in one statement. */
const batchSize = 500;

/** Above so many bytes of results the others travel as references. */
const inlineTotalMax = limits.ledgerBytesMax / 4;

type Ledger = (readonly [path: string, entry: Entry])[];

/** The ledger in lists that each fit into one answer. The only one as it is, several as references. */
export async function pagesOf(database: Database, tenant: string, source: Source): Promise<Json[]> {
  const own = source.undos.filter(({ run }) => run === source.origin.run);
  if (jsonBytes(own as unknown as Json) > limits.ledgerPageBytesMax) throw tooMuch(source, limits.ledgerPageBytesMax);
  const lists = inPages(await ledgerOf(database, tenant, source), limits.ledgerPageBytesMax);
  return lists.length === 1 ? lists : Promise.all(lists.map((page) => store(database, tenant, page)));
}

/** What it takes to undo a window, in lists that a run can hold while it undoes them; as references but for the smallest. */
export const undoPagesOf = (database: Database, tenant: string, undos: Undo[]): Promise<Json[]> =>
  Promise.all(
    inPages(undos, limits.undoPageBytesMax)
      .filter((page) => (page as Json[]).length > 0)
      .map((page) => store(database, tenant, page, limits.pageInlineBytesMax)),
  );

/** What is to be heard again, in lists that each fit into one answer beside the ledger. Data above a quarter of what may be taken over travels as references. */
export async function eventPagesOf(database: Database, tenant: string, source: Source): Promise<Json[]> {
  const { events } = source;
  if (events.length === 0) return [];
  const isMuch = jsonBytes(events as unknown as Json) > inlineTotalMax;
  const light = async (each: UnreadEvent): Promise<UnreadEvent> => ({
    ...each,
    event: { ...each.event, data: await store(database, tenant, each.event.data, limits.listItemBytesMax) },
  });
  const list = isMuch ? await Promise.all(events.map(light)) : events;
  if (jsonBytes(list as unknown as Json) > limits.ledgerBytesMax) throw tooMuch(source, limits.ledgerBytesMax);
  return Promise.all(inPages(list, limits.ledgerPageBytesMax).map((page) => store(database, tenant, page)));
}

/** At least one page. */
function inPages(list: readonly unknown[], bytesMax: number): Json[] {
  const pages: Json[][] = [[]];
  let bytes = 0;
  // Plain data, though its interfaces have no index signature.
  for (const each of list as readonly Json[]) {
    bytes += jsonBytes(each);
    if (bytes > bytesMax) {
      pages.push([]);
      bytes = jsonBytes(each);
    }
    pages.at(-1)!.push(each);
  }
  return pages;
}

async function ledgerOf(database: Database, tenant: string, source: Source): Promise<Ledger> {
  const { origin, kept } = source;
  const ledger: Ledger = [...handMade(source), ...kept.over.map((slot) => [slot, OVER] as const)];
  let bytes = ledger.reduce((sum, entry) => sum + bytesOf(entry), 0);
  for (let at = 0; at < kept.entries.length; at += batchSize) {
    const batchOf = kept.entries.slice(at, at + batchSize);
    const entries = await entriesOf(
      database,
      origin.run,
      batchOf.map(({ path }) => path),
    );
    const inlineMax = bytes > inlineTotalMax ? limits.listItemBytesMax : limits.inlineBytesMax;
    const batch = await Promise.all(
      batchOf.map(async ({ path, hasRest }) => {
        const entry = entries.get(path)!;
        const output = await store(database, tenant, entry.output, inlineMax);
        const exported = exportedBy(source, path, entry.status === "completed" && !entry.error);
        return [path, { ...entry, output, ...exported, ...(hasRest ? { hasRest } : {}) }] as const;
      }),
    );
    ledger.push(...batch);
    bytes += batch.reduce((sum, entry) => sum + bytesOf(entry), 0);
    if (bytes > limits.ledgerBytesMax) throw tooMuch(source, limits.ledgerBytesMax);
  }
  return ledger;
}

/** A slot whose output nobody asks for. */
const OVER: Entry = { status: "completed", output: null, exports: {} };

/** Outputs put in by hand. */
const handMade = (source: Source): Ledger =>
  Object.entries(ownOutputs(source.origin)).map(([path, output]) => [
    path,
    { status: "completed", output, ...exportedBy(source, path, true) },
  ]);

/**
 * What a step put into `vars`, under what was given by hand. The walk tells it together with the step's end; the end of a call is
 * told by its activity, which does not know it.
 */
export function exportedBy({ plan, exports, origin }: Source, path: string, endedWell: boolean): Exports {
  const names = findStep(plan, path)?.export.map(([name]) => name) ?? [];
  const known = exports.get(path) ?? { exports: {}, ...(endedWell && names.length > 0 ? { lacksExports: true } : {}) };
  const isSet = (name: string): boolean => (known.lacksExports === true && names.includes(name)) || Object.hasOwn(known.exports, name);
  const given = Object.entries(origin.vars ?? {}).filter(([name]) => isSet(name));
  return { ...known, exports: { ...known.exports, ...Object.fromEntries(given) } };
}

const bytesOf = (entry: Ledger[number]): number => jsonBytes(entry as unknown as Json);

const tooMuch = ({ origin }: Source, bytes: number): Fault =>
  new Fault("limit", `What run ${origin.run} has finished needs more than ${bytes} bytes; start a new run.`);
