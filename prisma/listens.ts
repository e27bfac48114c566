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

/** How far a delivery has come: runs up to this one, how many got the event, and those among them that could not be told. */
export interface Progress {
  after: string;
  reached: number;
  untold: string[];
}

/** Runs that are told at the same time. */
const batch = 50;

/**
 * Hand an event to the runs of a tenant that wait for one of its name, each once; gives how many got it. Faults: `limit` when there
 * are too many, before any got it; `unavailable` when some could not be told, after the others were. The next attempt goes on with those.
 * Safe to repeat: an event's id counts once in a run.
 */
export async function deliverTo(database: Database, waiting: Waiting, { send, from, onProgress }: Delivery): Promise<number> {
  if (!from) await refuseTooMany(database, waiting);
  const progress: Progress = { after: from?.after ?? "", reached: from?.reached ?? 0, untold: [] };
  const { untold } = progress;
  let cause: unknown;
  const tell = async (runs: string[], others: string[] = []): Promise<void> => {
    const outcomes = await Promise.allSettled(runs.map(send));
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    progress.reached += outcomes.filter((outcome) => outcome.status === "fulfilled" && outcome.value).length;
    untold.push(...runs.filter((_, index) => outcomes[index]!.status === "rejected"));
    cause ??= refused[0]?.reason;
    onProgress?.({ ...progress, untold: [...untold, ...others] });
    // Temporal is away: it would be for those behind, too.
    if (refused.length === batch) throw notTold(waiting, untold, cause);
  };
  const again = from?.untold ?? [];
  for (let at = 0; at < again.length; at += batch) await tell(again.slice(at, at + batch), again.slice(at + batch));
  for (let runs = await waitingRuns(database, waiting, progress.after); runs.length > 0;) {
    progress.after = runs.at(-1)!;
    await tell(runs);
    runs = await waitingRuns(database, waiting, progress.after);
  }
  if (untold.length > 0) throw notTold(waiting, untold, cause);
  return progress.reached;
}

const namedMax = 5;

const notTold = ({ event }: Waiting, runs: string[], cause: unknown): Fault =>
  new Fault(
    "unavailable",
    `${event} did not reach ${runs.length} of the runs that wait for it (${runs.slice(0, namedMax).join(", ")}); send it again with the same id.`,
    { cause },
  );

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
