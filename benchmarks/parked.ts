import { readFileSync } from "node:fs";
import { ask, Refused, type Server } from "../cli/api-client.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { someAtOnce } from "./measure.ts";
import { quantile } from "./statistics.ts";
import { withStack, type Log } from "./test-bed.ts";

const perSecond = 50;
const decisionsMax = 1_000;

/** Many runs that wait for a person, what they cost the worker, and how fast people are answered. */
export const measureParked = ({ log, runs = 5_000 }: { log: Log; runs: number | undefined }): Promise<Figure[]> =>
  withStack({ log }, async ({ apiUrl: url, apiKey, databaseUrl, worker }) => {
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
    const memory = memoryOf(worker!.pid!);
    log("parked: deciding …");
    const decided = await decide(server, approvals.slice(0, decisionsMax));
    return [
      figure("parked.runs", { value: approvals.length, unit: "runs", demand: runs }),
      figure("parked.started and asked", { value: approvals.length / seconds, unit: "runs/s" }),
      figure("parked.worker memory (RSS)", { value: memory.now, unit: "MB", demand: 600 }),
      figure("parked.worker memory (largest RSS)", { value: memory.largest, unit: "MB" }),
      figure("parked.decisions answered", { value: decided.perSecond, unit: "1/s", demand: perSecond }),
      figure("parked.decisions without an answer after 5 s", { value: decided.unanswered, unit: "decisions", demand: 0 }),
      figure("parked.decision p50", { value: quantile(decided.times, 0.5), unit: "ms" }),
      figure("parked.decision p95", { value: quantile(decided.times, 0.95), unit: "ms", demand: 300 }),
    ];
  });

async function untilAsked(databaseUrl: string, runs: number, log: Log): Promise<string[]> {
  for (let before = -1; ; await new Promise((later) => setTimeout(later, 5_000))) {
    const pending = await queryOnce<{ id: string }>(databaseUrl, "SELECT id FROM approvals WHERE status = 'pending' ORDER BY md5(id)");
    log(`parked: ${pending.length} of ${runs} wait`);
    // Stuck is an answer too: it is told by the number of runs.
    if (pending.length >= runs || pending.length === before) return pending.map(({ id }) => id);
    before = pending.length;
  }
}

interface Decided {
  perSecond: number;
  times: number[];
  unanswered: number;
}

/** So many a second whatever the answers take; a time counts from when the decision was due, so that a queue shows. */
async function decide(server: Server, approvals: string[]): Promise<Decided> {
  const startedAt = performance.now();
  const body = JSON.stringify({ decision: "approve" });
  const outcomes = await Promise.all(
    approvals.map(async (id, n) => {
      const dueAt = startedAt + (n / perSecond) * 1_000;
      await new Promise((due) => setTimeout(due, dueAt - performance.now()));
      const isAnswered = await ask(server, `/api/v2/approvals/${id}/decision`, { method: "POST", body }).then(() => true, isLate);
      return { isAnswered, ms: performance.now() - dueAt };
    }),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  const times = outcomes.filter(({ isAnswered }) => isAnswered).map(({ ms }) => ms);
  return { times, perSecond: times.length / seconds, unanswered: outcomes.length - times.length };
}

/** 503 after the API's own 5 s: a figure. Anything else is an error. */
function isLate(error: unknown): false {
  if (error instanceof Refused && error.problem.code === "unavailable") return false;
  throw error;
}

function memoryOf(pid: number): { now: number; largest: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mb = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)![1]) * 1_024) / 1e6;
  return { now: mb("VmRSS"), largest: mb("VmHWM") };
}
