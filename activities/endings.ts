import { WorkflowFailedError, type Client } from "@temporalio/client";
import { ApplicationFailure, CancelledFailure } from "@temporalio/common";
import type { RunKey } from "../contracts/activities.ts";
import type { RunEvent, TerminalStatus } from "../contracts/events.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import type { Database } from "../prisma/client.ts";
import type { Record } from "./record.ts";

interface Deps {
  database: Database;
  client: Client;
  record: Record;
}

/** Which ends the walk may have told of a run that Temporal closed so. */
const toldEnds: { [closed: string]: readonly TerminalStatus[] } = {
  COMPLETED: ["completed", "completed_with_errors"],
  FAILED: ["failed"],
  CANCELLED: ["canceled"],
};

/** The end that the walk told, when it is the one that Temporal closed the run with. */
export function toldEnd({ ending }: { ending: unknown }, closed: string): RunEvent | undefined {
  const told = ending as RunEvent | null;
  return toldEnds[closed]?.some((status) => told?.type === `run.${status}`) ? told! : undefined;
}

/**
 * Ends that walks have told, on their way into the log: each goes there when Temporal has closed the run, and not before. Whoever
 * recorded an end follows the run to it; should that process die, `sweep` of any other finds it, and what that misses, reconcile.
 */
export class Endings {
  readonly #deps: Deps;
  #followed = 0;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Resolves when the run's end is in the log, or somebody else sees to it; never rejects. */
  async follow(run: RunKey): Promise<void> {
    if (this.#followed >= limits.endingsFollowedMax) return;
    this.#followed += 1;
    try {
      await this.#enter(run, await this.#close(run));
    } catch {
      // The next sweep asks again.
    } finally {
      this.#followed -= 1;
    }
  }

  /** Ends that were told a while ago and are not in the log: a process died, or the run went on after all. */
  async sweep(): Promise<void> {
    const { database, client } = this.#deps;
    const rows = await database.$queryRaw<RunKey[]>`
      SELECT tenant, id FROM runs
      WHERE ended_at IS NULL AND ending_at BETWEEN now() - interval '1 minute' AND now() - ${limits.endingsSweptAfterMs}::int * interval '1 ms'
      ORDER BY ending_at LIMIT ${limits.endingsSweptMax}`;
    const closed = async ({ tenant, id }: RunKey): Promise<string> =>
      (await client.workflow.getHandle(workflowIdOf(tenant, id)).describe()).status.name;
    await Promise.all(
      rows.map((run) =>
        closed(run)
          .then((status) => this.#enter(run, status))
          .catch(() => undefined),
      ),
    );
  }

  async #enter(run: RunKey, closed: string): Promise<void> {
    const row = await this.#deps.database.run.findUnique({ where: { id: run.id }, select: { ending: true } });
    const end = row && toldEnd(row, closed);
    if (end) await this.#deps.record.append(run, [end]);
  }

  /** How Temporal closes the run, as soon as it does. Rejects when that takes long, or when another execution goes on with it. */
  async #close({ tenant, id }: RunKey): Promise<string> {
    const { client } = this.#deps;
    const handle = client.workflow.getHandle(workflowIdOf(tenant, id), undefined, { followRuns: false });
    try {
      await client.connection.withDeadline(Date.now() + limits.endingFollowedMs, () => handle.result());
      return "COMPLETED";
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      return error.cause instanceof CancelledFailure ? "CANCELLED" : error.cause instanceof ApplicationFailure ? "FAILED" : "";
    }
  }
}
