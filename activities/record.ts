import { limits } from "../contracts/limits.ts";
import { logNews, runChannel } from "../contracts/messages.ts";
import type { RunKey, RunRef } from "../contracts/activities.ts";
import type { RunEvent } from "../contracts/events.ts";
import { rowsOf, type Database } from "../prisma/client.ts";
import { jsonbText } from "../prisma/storable.ts";

/** Says "this run's log has grown" to whoever listens; may be lost, readers look into Postgres. */
export type Announce = (channel: string, message: string) => void;

export interface Record {
  /**
   * Append events to a run's log and let its projections follow (`append_events` in `prisma/migrations`).
   * A run whose row is not there yet needs its whole reference. Idempotent by event identity. Rejects when Postgres does not answer: trying again is always safe.
   */
  append(run: RunRef | RunKey, events: RunEvent[]): Promise<Recorded>;
  /** Append the beginning of a retry or fork: with its lineage, and the results of the steps it takes over. */
  takeOver(run: RunRef, lineage: Lineage, events: RunEvent[]): Promise<void>;
}

export interface Recorded {
  /** The log knew none of these events, nor of those that went along. */
  isNew: boolean;
}

export interface Lineage {
  retryOf?: string;
  forkOf?: string;
  effectRoot: string | null;
}

/** Appends that come while one is under way share the next: one round trip and one transaction, each run's row locked once. */
export function createRecord(database: Database, announce: Announce): Record {
  const waiting: Append[] = [];
  let sending = 0;

  async function send(): Promise<void> {
    if (sending > 0 && (sending >= sendersMax || waiting.length < limits.appendsTogetherMax)) return;
    sending += 1;
    // Whatever ends at the same moment goes along.
    await new Promise((soon) => setImmediate(soon));
    while (waiting.length > 0) await settle(waiting.splice(0, limits.appendsTogetherMax));
    sending -= 1;
  }

  async function settle(appends: Append[]): Promise<void> {
    const groups = byRun(appends);
    try {
      await appendAll(groups);
    } catch (error) {
      // What one of them holds must not fail the others.
      if (groups.length > 1) await Promise.all(groups.map((group) => appendAll([group]).catch((alone) => refuse(group, alone))));
      else refuse(groups[0]!, error);
    }
  }

  async function appendAll(groups: Group[]): Promise<void> {
    const rows = await rowsOf<Row>(database, appendEvents, [jsonbText(groups.map(({ run, events }) => ({ run, events })))]);
    for (const [index, row] of rows.entries()) {
      const { run, events, appends } = groups[index]!;
      tell(run, row);
      for (const { resolve } of appends) resolve({ isNew: row.appended === events.length });
    }
  }

  function tell({ id }: RunRef | RunKey, { status, last_seq: lastSeq, appended }: Row): void {
    if (appended > 0) announce(runChannel(id), logNews(lastSeq, status));
  }

  return {
    append: (run, events) =>
      new Promise((resolve, reject) => {
        waiting.push({ run, events, resolve, reject });
        void send();
      }),
    async takeOver(run, lineage, events) {
      const [row] = await database.$queryRaw<Row[]>`
        SELECT status, last_seq, appended FROM take_over(${jsonbText(run)}::jsonb, ${jsonbText(lineage)}::jsonb, ${jsonbText(events)}::jsonb)`;
      tell(run, row!);
    },
  };
}

const appendEvents = `/* append_events */
  SELECT r.status, r.last_seq, r.appended FROM jsonb_array_elements($1::jsonb)
    WITH ORDINALITY AS a(value, n), LATERAL append_events(a.value -> 'run', a.value -> 'events') AS r ORDER BY a.n`;

/** More than one connection only when more waits than one statement takes. */
const sendersMax = 4;

interface Append {
  run: RunRef | RunKey;
  events: RunEvent[];
  resolve: (recorded: Recorded) => void;
  reject: (error: unknown) => void;
}

interface Group {
  run: RunRef | RunKey;
  events: RunEvent[];
  appends: Append[];
}

interface Row {
  status: string;
  last_seq: number;
  appended: number;
}

// In one order, so that two transactions never wait for each other's rows.
function byRun(appends: Append[]): Group[] {
  const ids = [...new Set(appends.map(({ run }) => run.id))].toSorted();
  return ids.map((id) => {
    const own = appends.filter(({ run }) => run.id === id);
    const events = new Map<string, RunEvent>();
    for (const append of own) for (const event of append.events) if (!events.has(event.identity)) events.set(event.identity, event);
    const { run } = own.find((append) => "workflow" in append.run) ?? own[0]!;
    return { run, events: [...events.values()], appends: own };
  });
}

function refuse({ appends }: Group, error: unknown): void {
  for (const { reject } of appends) reject(error);
}
