import { setTimeout as sleep } from "node:timers/promises";
import { openDatabase, type Database } from "../../prisma/client.ts";

interface Held {
  database: Database;
  /** Of the session that holds it. */
  pid: number;
  release: () => Promise<void>;
}

/** Rows of runs that a session of ours holds: whoever wants to write about the run waits. */
export class HeldRows {
  readonly #url: string;
  readonly #held = new Map<string, Held>();

  constructor(url: string) {
    this.#url = url;
  }

  async hold(run: string): Promise<void> {
    const database = openDatabase(this.#url);
    await new Promise<void>((isHeld, failed) => {
      const holding = database.$transaction(
        async (transaction) => {
          const [row] = await transaction.$queryRaw<
            { pid: number }[]
          >`SELECT pg_backend_pid() AS pid FROM runs WHERE id = ${run} FOR UPDATE`;
          await new Promise<void>((over) => {
            const release = async (): Promise<void> => {
              over();
              await holding;
              await database.$disconnect();
            };
            this.#held.set(run, { database, pid: row!.pid, release });
            isHeld();
          });
        },
        { maxWait: 60_000, timeout: 60_000 },
      );
      holding.catch(failed);
    });
  }

  async untilWanted(run: string): Promise<void> {
    const { database, pid } = this.#held.get(run)!;
    const isWanted = async (): Promise<boolean> => {
      const waiting = await database.$queryRaw<object[]>`SELECT pid FROM pg_stat_activity WHERE ${pid} = ANY(pg_blocking_pids(pid))`;
      return waiting.length > 0;
    };
    while (!(await isWanted())) await sleep(5);
  }

  async release(run: string): Promise<void> {
    const held = this.#held.get(run)!;
    this.#held.delete(run);
    await held.release();
  }
}
