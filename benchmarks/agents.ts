import { startModelServer } from "../tests/servers/model-server.ts";
import { cpuMs, workerMs, workerThreads } from "./cpu.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import { against, type Figure } from "./figure.ts";
import type { AgentEnd } from "./hand-written-agent.ts";
import { loadOfMachine } from "./machine.ts";
import { cpuOf } from "./measure.ts";
import type { Side } from "./modes.ts";
import { begin, end, post } from "./over-http.ts";
import { quantile } from "./statistics.ts";
import { pidOf, withTestBed, type Log, type TestBed } from "./test-bed.ts";
import { handWrittenQueue } from "./workloads.ts";

const turns = 5;
const thinksMs = 2_000;
/** A call of its model and one of a tool in each turn, and the answer. */
const steps = 2 * turns + 1;

/**
 * Agents at once, each with 10 steps (5 model calls of 2 s, 5 calls of a tool) and an answer: how many fail, and what lies between two steps.
 * The same by hand beside it, with the same model on the same server: what this machine has to give.
 */
export async function measureAgents({ log, runs = 100 }: { log: Log; runs: number | undefined }): Promise<Figure[]> {
  const model = await startModelServer();
  model.answerWith(({ body }) => {
    const turn = body.messages.filter(({ role }) => role === "assistant").length;
    if (turn >= turns) return { text: "done" };
    return { toolCalls: [{ id: `c${turn}`, name: "bench_noop", arguments: {} }], delayMs: thinksMs };
  });
  const modelUrl = `${model.url}/v1`;
  try {
    return await withTestBed({ log, env: { OPENAI_BASE_URL: modelUrl } }, async (bed) => {
      const sides = [byHand(bed, modelUrl), await ours(bed)];
      for (const side of sides) await side.play(5);
      const accounts: Account[] = [];
      for (const side of sides) {
        log(`agents: ${runs} at once, ${side.name}`);
        accounts.push(await accountOf(bed, side, runs));
      }
      const [theirs, own] = accounts as [Account, Account];
      return figuresOf(runs, own, theirs);
    });
  } finally {
    await model.close();
  }
}

interface Contender {
  name: Side;
  play: (count: number) => Promise<Played>;
}

interface Played {
  failed: number;
  /** From the end of a step to the start of the next, in milliseconds. */
  gaps: number[];
}

function byHand({ client }: TestBed, modelUrl: string): Contender {
  const play = async (count: number): Promise<Played> => {
    const ends = await Promise.allSettled(
      Array.from({ length: count }, (_, index) => {
        const workflowId = `bench.agent.${Date.now()}.${index}`;
        return client.workflow.execute("Agent", { workflowId, taskQueue: handWrittenQueue, args: [modelUrl] }) as Promise<AgentEnd>;
      }),
    );
    const done = ends.flatMap((each) => (each.status === "fulfilled" && each.value.answer === "done" ? [each.value] : []));
    const gaps = done.flatMap(({ times }) => times.slice(1).map(({ startedAt }, index) => startedAt - times[index]!.endedAt));
    return { failed: count - done.length, gaps };
  };
  return { name: "hand-written", play };
}

async function ours({ stack: { apiUrl: url, apiKey, databaseUrl } }: TestBed): Promise<Contender> {
  const server = { url, apiKey };
  const step = { id: "work", type: "agent", model: "openai/bench", prompt: "Work.", tools: ["bench.noop"] };
  await post(server, "/api/v2/workflows", { name: "bench-agents", version: "1.0.0", steps: [step] });
  const play = async (count: number): Promise<Played> => {
    const ids = await Promise.all(Array.from({ length: count }, () => begin(server, { workflow: "bench-agents" })));
    const ends = await Promise.all(ids.map((id) => end(server, id)));
    const failed = ends.filter(({ status, output }) => status !== "completed" || output !== "done").length;
    return { failed, gaps: await gapsOf(databaseUrl, ids) };
  };
  return { name: "ours", play };
}

/** From the end of a model call or of a tool's call to the start of the next. */
async function gapsOf(databaseUrl: string, ids: string[]): Promise<number[]> {
  const rows = await queryOnce<{ ms: string | null }>(
    databaseUrl,
    `SELECT extract(epoch FROM started_at - lag(ended_at) OVER (PARTITION BY run_id ORDER BY started_at)) * 1000 AS ms
     FROM steps WHERE run_id = ANY($1) AND type IN ('think', 'call', 'tool')`,
    [ids],
  );
  return rows.flatMap(({ ms }) => (ms === null ? [] : [Number(ms)]));
}

interface Account extends Played {
  seconds: number;
  /** Milliseconds per step. */
  cpu: Record<string, number>;
  load: number;
}

async function accountOf(bed: TestBed, { name, play }: Contender, runs: number): Promise<Account> {
  const spent = (): Record<string, number> => {
    const api = pidOf(bed.stack, "api");
    const known = cpuOf({ workers: [name] }, bed);
    const apiMs = api === undefined ? undefined : cpuMs([api]);
    // Threads are told apart where processes are.
    return {
      ...known,
      ...(known["workerCpu"] === undefined ? {} : workerMs(bed.workers[name])),
      ...(apiMs === undefined ? {} : { apiCpu: apiMs }),
    };
  };
  const before = spent();
  const startedAt = performance.now();
  const played = await play(runs);
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = Object.entries(spent()).map(([part, ms]) => [part, (ms - before[part]!) / (runs * steps)] as const);
  return { ...played, seconds, cpu: Object.fromEntries(cpu), load: loadOfMachine() };
}

function figuresOf(runs: number, own: Account, theirs: Account): Figure[] {
  const beside = (name: string, unit: string, of: (account: Account) => number): Figure => ({
    ...against({ name: `agents: ${name}`, unit, values: [of(own)], others: [of(theirs)] }),
    load: own.load,
  });
  const cpu = Object.entries(cpuTitles).filter(([part]) => own.cpu[part] !== undefined && theirs.cpu[part] !== undefined);
  const between = (share: number) => (account: Account) => quantile(account.gaps, share);
  return [
    figure("agents: at once", { value: runs, unit: "runs" }),
    figure("agents: failed", { value: (own.failed / runs) * 100, unit: "%", demand: 0.1 }),
    figure("agents: between two steps, p95", { value: quantile(own.gaps, 0.95), unit: "ms", demand: 200 }),
    figure("agents: failed, hand-written", { value: (theirs.failed / runs) * 100, unit: "%" }),
    beside("beside hand-written: time; their model alone takes 10 s", "s", ({ seconds }) => seconds),
    beside("beside hand-written: between two steps, p50", "ms", between(0.5)),
    beside("beside hand-written: between two steps, p95", "ms", between(0.95)),
    ...cpu.map(([part, title]) => beside(`beside hand-written: CPU, ${title}`, "ms/step", (account) => account.cpu[part]!)),
  ];
}

const cpuTitles: Record<string, string> = { ...workerThreads, temporalCpu: "Temporal server", postgresCpu: "Postgres", apiCpu: "API" };
