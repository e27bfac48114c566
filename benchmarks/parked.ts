import { readFileSync } from "node:fs";
import { ask, Refused, type Server } from "../cli/api-client.ts";
import type { Stack } from "../cli/stack.ts";
import { cpuMs } from "./cpu.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { someAtOnce } from "./measure.ts";
import { quantile } from "./statistics.ts";
import { pidOf, withStack, type Log } from "./test-bed.ts";

const perSecond = 50;
const wordsMax = 1_000;
const decisionsAlone = 20;

/** Many runs that wait for a person, what they cost the worker, and how fast people are answered. */
export const measureParked = ({ log, runs = 5_000 }: { log: Log; runs: number | undefined }): Promise<Figure[]> =>
  withStack({ log }, async (stack) => {
    const { apiUrl: url, apiKey, databaseUrl, worker } = stack;
    const server = { url, apiKey };
    const steps = [{ id: "ask", type: "approval", title: "Go on?", payload: { order: "${input.order}" } }];
    await ask(server, "/api/v2/workflows", { method: "POST", body: JSON.stringify({ name: "bench-parked", version: "1.0.0", steps }) });
    log(`parked: starting ${runs} runs …`);
    const startedAt = performance.now();
    await someAtOnce(
      Array.from({ length: runs }, (_, order) => order),
      (order) => ask(server, "/api/v2/runs", { method: "POST", body: JSON.stringify({ workflow: "bench-parked", input: { order } }) }),
    );
    const approvals = await untilAsked(databaseUrl, runs, log);
    const seconds = (performance.now() - startedAt) / 1_000;
    const parked = approvals.length;
    const memory = memoryOf(worker!.pid!);
    log("parked: signalling …");
    const signalled = await atRate(approvals.slice(0, wordsMax), (id) => isSignalled(server, id));
    log("parked: deciding …");
    const alone = await decideAlone(server, approvals.splice(0, decisionsAlone));
    const before = cpuOf(stack);
    const decided = await atRate(approvals.slice(0, wordsMax), (id) => isDecided(server, id));
    const after = cpuOf(stack);
    // Also those whose answer came too late: their work is in the figures.
    const recorded = approvals.length - (await pendingIn(databaseUrl)).length;
    return [
      figure("parked.runs", { value: parked, unit: "runs", demand: runs }),
      figure("parked.started and asked", { value: parked / seconds, unit: "runs/s" }),
      figure("parked.worker memory (RSS)", { value: memory.now, unit: "MB", demand: 600 }),
      figure("parked.worker memory (largest RSS)", { value: memory.largest, unit: "MB" }),
      ...figuresOf("signal", signalled),
      figure("parked.decision p50, one at a time", { value: quantile(alone, 0.5), unit: "ms" }),
      ...figuresOf("decision", decided),
      ...Object.entries(after).map(([part, ms]) =>
        figure(`parked.CPU of ${part} per decision`, { value: (ms - before[part]!) / recorded, unit: "ms" }),
      ),
    ];
  });

const figuresOf = (word: string, { perSecond: rate, unanswered, times }: AtRate): Figure[] => [
  figure(`parked.${word}s answered`, { value: rate, unit: "1/s", demand: perSecond }),
  figure(`parked.${word}s refused or not answered in 5 s`, { value: unanswered, unit: `${word}s`, demand: 0 }),
  figure(`parked.${word} p50`, { value: quantile(times, 0.5), unit: "ms" }),
  figure(`parked.${word} p95`, { value: quantile(times, 0.95), unit: "ms", demand: 300 }),
];

async function untilAsked(databaseUrl: string, runs: number, log: Log): Promise<string[]> {
  for (let before = -1; ; await new Promise((later) => setTimeout(later, 5_000))) {
    const pending = await pendingIn(databaseUrl);
    log(`parked: ${pending.length} of ${runs} wait`);
    // Stuck is an answer too: it is told by the number of runs.
    if (pending.length >= runs || pending.length === before) return pending;
    before = pending.length;
  }
}

async function pendingIn(databaseUrl: string): Promise<string[]> {
  const sql = "SELECT id FROM approvals WHERE status = 'pending' ORDER BY md5(id)";
  return (await queryOnce<{ id: string }>(databaseUrl, sql)).map(({ id }) => id);
}

async function decideAlone(server: Server, approvals: string[]): Promise<number[]> {
  const times: number[] = [];
  for (const id of approvals) {
    const startedAt = performance.now();
    if (await isDecided(server, id)) times.push(performance.now() - startedAt);
  }
  return times;
}

const isDecided = (server: Server, id: string): Promise<boolean> =>
  isAnswered(server, `/api/v2/approvals/${id}/decision`, { decision: "approve" });

/** An event that the run keeps and nobody listens for: the run stays where it is. */
const isSignalled = (server: Server, approval: string): Promise<boolean> =>
  isAnswered(server, `/api/v2/runs/${approval.slice(0, approval.indexOf("~"))}/signals`, { event: "note", data: null });

const isAnswered = (server: Server, path: string, body: object): Promise<boolean> =>
  ask(server, path, { method: "POST", body: JSON.stringify(body) }).then(() => true, isLate);

/** Nothing of a part that is not ours, or where there is no /proc. */
function cpuOf(stack: Stack): Record<string, number> {
  const parts = { worker: stack.worker!.pid, API: stack.api!.pid, Temporal: pidOf(stack, "temporal"), Postgres: pidOf(stack, "postgres") };
  const known = Object.entries(parts).flatMap(([part, pid]) => {
    const ms = pid === undefined ? undefined : cpuMs([pid]);
    return ms === undefined ? [] : [[part, ms] as const];
  });
  return Object.fromEntries(known);
}

interface AtRate {
  perSecond: number;
  times: number[];
  unanswered: number;
}

/** So many a second whatever the answers take; a time counts from when the word was due, so that a queue shows. */
async function atRate(approvals: string[], isAnsweredOf: (approval: string) => Promise<boolean>): Promise<AtRate> {
  const startedAt = performance.now();
  const outcomes = await Promise.all(
    approvals.map(async (id, n) => {
      const dueAt = startedAt + (n / perSecond) * 1_000;
      await new Promise((due) => setTimeout(due, dueAt - performance.now()));
      return { isInTime: await isAnsweredOf(id), ms: performance.now() - dueAt };
    }),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  const times = outcomes.filter(({ isInTime }) => isInTime).map(({ ms }) => ms);
  return { times, perSecond: times.length / seconds, unanswered: outcomes.length - times.length };
}

/** 503, at once or after the API's own 5 s: a figure. Anything else is an error. */
function isLate(error: unknown): false {
  if (error instanceof Refused && error.problem.code === "unavailable") return false;
  throw error;
}

function memoryOf(pid: number): { now: number; largest: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mb = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)![1]) * 1_024) / 1e6;
  return { now: mb("VmRSS"), largest: mb("VmHWM") };
}
