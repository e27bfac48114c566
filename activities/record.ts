import { runChannel } from "../contracts/messages.ts";
import type { Appended, RunRef } from "../contracts/activities.ts";
import type { RunEvent, RunStatus } from "../contracts/events.ts";
import type { Database } from "../prisma/client.ts";

/** Says "this run's log has grown" to whoever listens; may be lost, readers look into Postgres. */
export type Announce = (channel: string, message: string) => void;

export interface Record {
  /**
   * Append events to a run's log and let its projections follow (`append_events` in `prisma/migrations`).
   * Idempotent by event identity. Rejects when Postgres does not answer: trying again is always safe.
   */
  append(run: RunRef, events: RunEvent[]): Promise<Appended>;
  /** Append the beginning of a retry or fork: with its lineage, and the results of the steps it takes over. */
  takeOver(run: RunRef, lineage: Lineage, events: RunEvent[]): Promise<Appended>;
}

export interface Lineage {
  retryOf?: string;
  forkOf?: string;
  effectRoot: string | null;
}

export function createRecord(database: Database, announce: Announce): Record {
  const announced = (run: RunRef, [row]: Row[]): Appended => {
    const { status, last_seq: lastSeq, appended } = row!;
    if (appended > 0) announce(runChannel(run.id), String(lastSeq));
    return { status, lastSeq };
  };
  return {
    async append(run, events) {
      const rows = await database.$queryRaw<Row[]>`
        SELECT * FROM append_events(${jsonbText(run)}::jsonb, ${jsonbText(events)}::jsonb)`;
      return announced(run, rows);
    },
    async takeOver(run, lineage, events) {
      const rows = await database.$queryRaw<Row[]>`
        SELECT * FROM take_over(${jsonbText(run)}::jsonb, ${jsonbText(lineage)}::jsonb, ${jsonbText(events)}::jsonb)`;
      return announced(run, rows);
    },
  };
}

interface Row {
  status: RunStatus;
  last_seq: number;
  appended: number;
}

// Postgres stores neither NUL nor half of a surrogate pair; JSON.stringify escapes both. Pairs of backslashes are
// stepped over, so that an escaped backslash before "u0000" stays what it is.
const jsonbText = (value: unknown): string =>
  JSON.stringify(value).replace(/\\(?:\\|u0000|ud[89a-f][0-9a-f]{2})/g, (match) => (match === "\\\\" ? match : "\\ufffd"));
