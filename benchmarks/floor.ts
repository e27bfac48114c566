import { Worker } from "node:worker_threads";
import { ask } from "../cli/api-client.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import { cpuMs, machineMs, queuedMs, workerMs, workerThreads, type WorkerThread } from "./cpu.ts";
import { against, type Figure } from "./figure.ts";
import { loadOfMachine } from "./machine.ts";
import { inTurn, someAtOnce, together } from "./measure.ts";
import { definitionOf, modesOf, ourModes, type ModeName, type Side } from "./modes.ts";
import { median } from "./statistics.ts";
import { pidOf, type TestBed } from "./test-bed.ts";
import { workloads } from "./workloads.ts";

// Where the time of a step goes. Ours is started over HTTP here, so that the API is in the account.

export const phases = { alone: "one run at a time", together: `${together} runs at once` } as const;
export type Phase = keyof typeof phases;

/** What a step's time is made of. CPU of different parts may overlap on two cores. */
export const parts = {
  wall: "wall clock per step",
  temporal: "Temporal server",
  ...workerThreads,
  postgres: "Postgres",
  api: "API",
  redis: "Redis",
  client: "this benchmark (client, clock)",
  others: "other programs on the machine",
  queued: "queued for a CPU, all threads of ours",
  idle: "waiting: nobody on the CPU",
} as const;
export type Part = keyof typeof parts;
export const partNames = Object.keys(parts) as Part[];

/** Milliseconds per step, and the load. */
type Account = Record<Part, number> & { load: number };

interface Contender {
  name: ModeName;
  sides: Side[];
  run: () => Promise<unknown>;
}

const workload = workloads.W1;

/** Figures `floor.<phase>.<mode>.<part>`, each beside the hand-written side's of the same rounds. */
export async function measureFloor(bed: TestBed, { rounds, log }: { rounds: number; log: (line: string) => void }): Promise<Figure[]> {
  if (process.platform !== "linux") throw new Error("The account of CPU time is read from /proc: Linux only.");
  const contenders = await contendersOn(bed);
  const accounts = new Map<string, Account[]>();
  for (let round = 0; round <= rounds; round++) {
    log(`floor: ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}`);
    for (const phase of Object.keys(phases) as Phase[])
      for (const contender of inTurn(contenders, round)) {
        const account = await accountOf(bed, contender, phase);
        const key = `${phase}.${contender.name}`;
        if (round > 0) accounts.set(key, [...(accounts.get(key) ?? []), account]);
      }
  }
  return (Object.keys(phases) as Phase[]).flatMap((phase) =>
    ourModes.flatMap((mode) =>
      partNames.map((part) => {
        const [ours, theirs] = [accounts.get(`${phase}.${mode}`)!, accounts.get(`${phase}.hand-written`)!];
        const [values, others] = [ours, theirs].map((list) => list.map((account) => account[part]));
        const figure = against({ name: `floor.${phase}.${mode}.${part}`, unit: "ms/step", values: values!, others: others! });
        return { ...figure, load: median(ours.map(({ load }) => load)) };
      }),
    ),
  );
}

async function contendersOn({ stack, client }: TestBed): Promise<Contender[]> {
  const server = { url: stack.apiUrl, apiKey: stack.apiKey };
  return Promise.all(
    modesOf(workload, client).map(async ({ name, workers, start }) => {
      if (name === "hand-written") return { name, sides: workers, run: async () => (await start()).result() };
      const definition = definitionOf(name, workload);
      await ask(server, "/api/v2/workflows", { method: "POST", body: JSON.stringify(definition) });
      const body = JSON.stringify({ workflow: definition.name });
      const run = async () => {
        const { id } = await ask<{ id: string }>(server, "/api/v2/runs", { method: "POST", body });
        return client.workflow.getHandle(workflowIdOf("default", id)).result();
      };
      return { name, sides: workers, run };
    }),
  );
}

async function accountOf(bed: TestBed, { sides, run }: Contender, phase: Phase): Promise<Account> {
  const runs = Array.from({ length: phase === "alone" ? workload.runs.oneByOne : workload.runs.together });
  const clock = startIdleClock();
  const before = spent(bed, sides);
  const startedAt = performance.now();
  await someAtOnce(runs, run, phase === "alone" ? 1 : together);
  const wallMs = performance.now() - startedAt;
  const after = spent(bed, sides);
  const idleShare = await clock.stop();
  const perStep = (ms: number) => ms / (runs.length * workload.steps);
  const used = Object.entries(after).map(([part, ms]) => [part, perStep(ms - before[part as keyof typeof before])] as const);
  return { ...(Object.fromEntries(used) as Account), wall: perStep(wallMs), idle: perStep(wallMs * idleShare), load: loadOfMachine() };
}

type Spent = Record<Exclude<Part, "wall" | "idle">, number>;

function spent({ stack, workers, temporal, postgres }: TestBed, sides: Side[]): Spent {
  const [api, redis] = [pidOf(stack, "api"), pidOf(stack, "redis")];
  const all = [temporal, postgres, api, redis, process.pid, ...sides.map((side) => workers[side])].filter((pid) => pid !== undefined);
  const of = (pid: number | undefined) => (pid === undefined ? 0 : cpuMs([pid])!);
  const threads = sides.map((side) => workerMs(workers[side]));
  const sum = (thread: WorkerThread) => threads.reduce((total, each) => total + each[thread], 0);
  const { user, system } = process.cpuUsage();
  const known = {
    temporal: of(temporal),
    workflows: sum("workflows"),
    main: sum("main"),
    bridge: sum("bridge"),
    engine: sum("engine"),
    postgres: of(postgres),
    api: of(api),
    redis: of(redis),
    client: (user + system) / 1_000,
  };
  // The other side's worker, which idles meanwhile, counts as another program.
  return { ...known, others: machineMs() - Object.values(known).reduce((total, ms) => total + ms, 0), queued: queuedMs(all) };
}

/** Counts, once a millisecond, whether anything at all runs on the machine. */
function startIdleClock(): { stop(): Promise<number> } {
  const shared = new SharedArrayBuffer(12);
  const counts = new Int32Array(shared);
  const thread = new Worker(new URL("./idle-thread.mjs", import.meta.url), { workerData: shared, execArgv: [] });
  const over = new Promise((exit) => thread.once("exit", exit));
  return {
    async stop() {
      Atomics.store(counts, 2, 1);
      await over;
      return counts[1]! / Math.max(1, counts[0]!);
    },
  };
}
