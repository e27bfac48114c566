import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { modesOf } from "./modes.ts";
import { quantile } from "./statistics.ts";
import { withTestBed, type Log } from "./test-bed.ts";
import { workloads } from "./workloads.ts";

const runsPerRound = 10;

/**
 * From the end of a step to the start of the next, by the times in the run's own log: what the platform takes between two
 * pieces of work. W1 (12 no-op steps), one run at a time; the first runs warm up. The log counts in whole milliseconds.
 */
export const measureHandover = ({ rounds, log }: { rounds: number; log: Log }): Promise<Figure[]> =>
  withTestBed({ log, only: ["temporal", "postgres", "redis", "worker"] }, async ({ client, stack }) => {
    // Those whose steps tell the log when they work.
    const modes = modesOf(workloads.W1, client).filter(({ name }) => name === "tool" || name === "short");
    const ids = new Map(modes.map(({ name }) => [name, [] as string[]]));
    for (let run = 0; run < (rounds + 1) * runsPerRound; run++) {
      if (run % runsPerRound === 0) log(`handover: ${run === 0 ? "warm-up" : `round ${run / runsPerRound} of ${rounds}`}`);
      for (const { name, start } of modes) {
        const handle = await start();
        await handle.result();
        if (run >= runsPerRound) ids.get(name)!.push(handle.workflowId.split(".").at(-1)!);
      }
    }
    const figures = await Promise.all(
      modes.map(async ({ name }) => {
        const gaps = await gapsOf(stack.databaseUrl, ids.get(name)!);
        return [
          figure(`handover.${name}.p50`, { value: quantile(gaps, 0.5), unit: "ms", demand: 15 }),
          figure(`handover.${name}.p95`, { value: quantile(gaps, 0.95), unit: "ms", demand: 50 }),
        ];
      }),
    );
    return figures.flat();
  });

async function gapsOf(databaseUrl: string, ids: string[]): Promise<number[]> {
  const rows = await queryOnce<{ ms: string | null }>(
    databaseUrl,
    `SELECT extract(epoch FROM started_at - lag(ended_at) OVER (PARTITION BY run_id ORDER BY first_seq)) * 1000 AS ms
     FROM steps WHERE run_id = ANY($1)`,
    [ids],
  );
  return rows.flatMap(({ ms }) => (ms === null ? [] : [Number(ms)]));
}
