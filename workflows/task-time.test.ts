import { describe, expect, test } from "@jest/globals";
import type { AskedCall } from "../contracts/agent-task.ts";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { Answer, PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import type { Decision } from "./approvals.ts";
import type { Walk } from "./walk.ts";

const minute = 60_000;
const ada: Decision["by"] = { name: "ada", kind: "person", roles: [] };

const call = (id: string, more: Partial<AskedCall> = {}): AskedCall => ({
  id,
  name: "count_up",
  tool: "count.up",
  arguments: { id },
  asks: false,
  assignees: [],
  expiresAfter: null,
  ...more,
});
const asking = (id: string): AskedCall => call(id, { asks: true });
const { tool: _, ...question } = call("q", { name: "ask_human", arguments: { question: "Why?" } });

interface Played {
  /** What the model asks for, turn by turn; then it is done. */
  turns: AskedCall[][];
  /** How long it thinks in each turn, in minutes. */
  thinks: number;
  step?: object;
  steer?: (walk: Walk, port: PlainPort) => void;
  answer?: (path: string, attempt: number) => Answer | undefined;
  continues?: boolean;
}

function play({ turns, thinks, step = {}, steer, answer, continues = false }: Played): Promise<PlainRun> {
  const steps = [{ id: "work", type: "agent", prompt: "Go.", tools: ["count.up"], ...step }];
  return runPlain(
    { name: "test", version: "1.0.0", steps },
    {
      continues,
      ...(steer ? { steer } : {}),
      answer: (path, _fields, attempt) => {
        const turn = /^work\[(\d+)\]\.think$/.exec(path)?.[1];
        if (turn === undefined) return answer?.(path, attempt) ?? { output: path };
        const calls = turns[Number(turn)] ?? [];
        const isDone = calls.length === 0;
        const thought = { transcript: `t${turn}`, tokens: 1, calls, isDone, answer: isDone ? "done" : null };
        return { output: thought as unknown as Json, afterMs: thinks * minute };
      },
    },
  );
}

const decide =
  (at: number, path: string, decision: Decision["decision"] = "approve") =>
  (walk: Walk, port: PlainPort) =>
    port.at(at * minute, () => void walk.approvals.decide({ path, decision, by: ada }));
const each =
  (...steering: ((walk: Walk, port: PlainPort) => void)[]) =>
  (walk: Walk, port: PlainPort): void =>
    steering.forEach((steer) => steer(walk, port));

const endedAt = ({ port }: PlainRun): number => Math.round(port.now() / minute);
const timedOut = { code: "timeout", instance: "work" };

describe.each([false, true])("the time of an agent's task, with continue-as-new: %s", (continues) => {
  const tenMinutes = { timeout: "10m" };

  test("does not run while people are asked about a call", async () => {
    const steer = decide(120, "work[0].act[0].approve");
    const run = await play({ turns: [[asking("a")]], thinks: 4, step: tenMinutes, steer, continues });
    expect(run.end.result).toMatchObject({ status: "completed", output: "done" });
    expect(endedAt(run)).toBe(124);
  });

  test("does not run while it asks a person", async () => {
    const steer = decide(2 * 24 * 60, "work[0].act[0].call");
    const run = await play({ turns: [[question]], thinks: 4, step: tenMinutes, steer, continues });
    expect(run.end.result.status).toBe("completed");
  });

  test("does not run while people find out what a call has done", async () => {
    const unknown = makeProblem("effect_unknown", "Nobody knows.");
    const answer = (path: string, attempt: number) => (path.endsWith("call") && attempt === 1 ? { problem: unknown } : undefined);
    const steer = (walk: Walk, port: PlainPort): void =>
      port.at(300 * minute, () => void walk.attention.attend({ path: "work[0].act[0].call", action: "retry", by: "ada" }));
    const run = await play({ turns: [[call("a")]], thinks: 4, step: tenMinutes, steer, answer, continues });
    expect(run.end.result.status).toBe("completed");
  });

  test("goes on where it stood when they have answered", async () => {
    const steer = decide(100, "work[0].act[0].approve");
    const run = await play({ turns: [[asking("a")], [call("b")]], thinks: 4, step: tenMinutes, steer, continues });
    expect(run.end.error).toMatchObject(timedOut);
    // Four minutes before the question, six after it.
    expect(endedAt(run)).toBe(106);
  });

  test("stands still once for questions at the same time, until the last is answered", async () => {
    const steer = each(decide(20, "work[0].act[0].approve"), decide(100, "work[0].act[1].approve"));
    const turns = [[asking("a"), asking("b")], [asking("c")], [call("d")]];
    const run = await play({ turns, thinks: 4, step: tenMinutes, steer: each(steer, decide(200, "work[1].act[0].approve")), continues });
    expect(run.end.error).toMatchObject(timedOut);
    expect(endedAt(run)).toBe(202);
  });

  test("is its published agent's, also above an hour, and an hour where nobody says it", async () => {
    const step = { agent: "clerk", tools: undefined };
    const agents = (_: Walk, { timesMs }: PlainPort): void => void timesMs.set("clerk", 8 * 60 * minute);
    const published = await play({ turns: [], thinks: 2 * 60, step, steer: agents, continues });
    expect(published.end.result.status).toBe("completed");
    const unsaid = await play({ turns: [], thinks: 2 * 60, step, continues });
    expect(unsaid.end.error).toMatchObject(timedOut);
    expect(endedAt(unsaid)).toBe(60);
  });

  test.each([
    ["2h", 90],
    ["30m", 30],
  ])("is what its step says (%s), and never more than the agent's", async (timeout, ends) => {
    const steer = (_: Walk, { timesMs }: PlainPort): void => void timesMs.set("clerk", 90 * minute);
    const run = await play({ turns: [], thinks: 180, step: { agent: "clerk", tools: undefined, timeout }, steer, continues });
    expect(run.end.error).toMatchObject(timedOut);
    expect(endedAt(run)).toBe(ends);
  });

  test("ends with `totalTimeout`, in which everything counts", async () => {
    const step = { ...tenMinutes, totalTimeout: "1h" };
    const run = await play({ turns: [[asking("a")]], thinks: 4, step, steer: decide(120, "work[0].act[0].approve"), continues });
    expect(run.end.error).toMatchObject(timedOut);
    expect(endedAt(run)).toBe(60);
  });

  test("begins anew when the step is tried again", async () => {
    const step = { ...tenMinutes, retry: { maxAttempts: 2, initialInterval: "1m", jitter: 0 } };
    const run = await play({ turns: [[call("a")], [call("b")], [call("c")]], thinks: 4, step, continues });
    expect(run.end.result.status).toBe("completed");
  });

  test("does not run while people are asked in a run that works for it, and does as long as it works itself", async () => {
    const { tool: _tool, ...helper } = call("h", { workflow: "agent.helper", planHash: "x" });
    const run = (turns: AskedCall[][], step: object = {}) =>
      play({
        turns,
        thinks: 4,
        step: { ...tenMinutes, ...step },
        continues,
        // Of the helper's two hours and a minute people take two hours.
        answer: (path) => (path === "work[0].act[0].call" ? { output: "helped", afterMs: 121 * minute } : undefined),
        steer: (_, { askedBelow }) => void askedBelow.push({ from: 5 * minute, to: 125 * minute }),
      });
    const helped = await run([[helper]]);
    expect(helped.end.result).toMatchObject({ status: "completed", output: "done" });
    expect(endedAt(helped)).toBe(129);
    const late = await run([[helper], [call("b")]]);
    expect(late.end.error).toMatchObject(timedOut);
    expect(endedAt(late)).toBe(130);
    // Not below: a call that takes so long is the task's own work.
    expect((await run([[call("a")]])).end.error).toMatchObject(timedOut);
  });
});
