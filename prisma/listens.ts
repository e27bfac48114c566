import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Database } from "./client.ts";

export interface Waiting {
  tenant: string;
  event: string;
}

interface Delivery {
  /** Send it to one run; gives whether that is still there. */
  send: (run: string) => Promise<boolean>;
  /** Where an attempt before this one stood. */
  from?: Progress;
  onProgress?: (progress: Progress) => void;
}

/** How far a delivery has come: runs up to this one, and how many got the event. */
export interface Progress {
  after: string;
  reached: number;
}

/** Runs that are told at the same time. */
const batch = 50;

/**
 * Hand an event to the runs of a tenant that wait for one of its name, each once; gives how many got it.
 * Safe to repeat: an event's id counts once in a run. Fault `limit` when there are too many, before any got it.
 */
export async function deliverTo(database: Database, waiting: Waiting, { send, from, onProgress }: Delivery): Promise<number> {
  let { after, reached } = from ?? { after: "", reached: 0 };
  if (!from) await refuseTooMany(database, waiting);
  for (let runs = await waitingRuns(database, waiting, after); runs.length > 0; runs = await waitingRuns(database, waiting, after)) {
    const sent = await Promise.all(runs.map(send));
    after = runs.at(-1)!;
    reached += sent.filter(Boolean).length;
    onProgress?.({ after, reached });
  }
  return reached;
}

async function waitingRuns(database: Database, { tenant, event }: Waiting, after: string): Promise<string[]> {
  const rows = await database.$queryRaw<{ run: string }[]>`
    SELECT DISTINCT run_id AS run FROM listens WHERE tenant = ${tenant} AND event = ${event} AND run_id > ${after} ORDER BY run_id LIMIT ${batch}`;
  return rows.map(({ run }) => run);
}

async function refuseTooMany(database: Database, { tenant, event }: Waiting): Promise<void> {
  const [row] = await database.$queryRaw<{ count: bigint }[]>`
    SELECT count(*) FROM (SELECT DISTINCT run_id FROM listens WHERE tenant = ${tenant} AND event = ${event} LIMIT ${limits.broadcastRunsMax + 1}) AS runs`;
  if (Number(row!.count) > limits.broadcastRunsMax)
    throw new Fault("limit", `More than ${limits.broadcastRunsMax} runs wait for ${event}; send it to runs by their ids.`);
}
