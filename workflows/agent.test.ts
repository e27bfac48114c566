import { describe, expect, test } from "@jest/globals";
import type { AskedCall } from "../contracts/agent-task.ts";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { runPlain, started, type PlainRun } from "../tests/walk/run-plain.ts";

const definition = (more: object = {}) => ({
  name: "test",
  version: "1.0.0",
  steps: [
    { id: "work", type: "agent", prompt: "Go.", tools: ["count.up"], ...more },
    { id: "after", type: "set", values: "${steps.work.output}" },
  ],
});

const usage = { model: "m", inputTokens: 3, outputTokens: 2, costUsd: 0.5, calls: 1 };
const call = (id: string): AskedCall => ({
  id,
  name: "count_up",
  tool: "count.up",
  arguments: { id },
  asks: false,
  assignees: [],
  expiresAfter: null,
});

/** A model that asks for as many calls as the turn has, until it is done in turn `last`. */
function answering(last: number) {
  return (path: string, fields: unknown): { output: Json } => {
    const turn = Number(/^work\[(\d+)\]\.think$/.exec(path)?.[1] ?? Number.NaN);
    if (Number.isNaN(turn)) return { output: { done: path } };
    const { transcript, results } = fields as { transcript: string | null; results: Json[] };
    expect([transcript, results.length]).toEqual(turn === 0 ? [null, 0] : [`t${turn - 1}`, turn]);
    const calls = turn < last ? Array.from({ length: turn + 1 }, (_, n) => call(`${turn}-${n}`)) : [];
    return {
      output: {
        transcript: `t${turn}`,
        tokens: 10,
        calls,
        isDone: calls.length === 0,
        answer: calls.length === 0 ? "done" : null,
      } as unknown as Json,
    };
  };
}

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const run = (last: number, more: object = {}): Promise<PlainRun> => runPlain(definition(more), { continues, answer: answering(last) });

  test("an agent takes its turns, each with what the calls before gave", async () => {
    const { end, port } = await run(4);
    expect(end.result).toMatchObject({ status: "completed", output: "done" });
    const begun = started({ port });
    expect(begun.filter((path) => path.endsWith("think"))).toEqual([0, 1, 2, 3, 4].map((turn) => `work[${turn}].think`));
    expect(new Set(begun).size).toBe(begun.length);
    expect(begun.filter((path) => path.endsWith("call"))).toHaveLength(1 + 2 + 3 + 4);
  });

  test("one that finds no end is stopped", async () => {
    const { end } = await run(100, { maxTurns: 3 });
    expect(end.error).toMatchObject({ code: "max_turns", instance: "work" });
  });
});

test.each([false, true])("what is too long is shortened before the next turn, with continue-as-new: %s", async (continues) => {
  const given: string[] = [];
  const { end, port } = await runPlain(definition({ contextTokens: 1_000 }), {
    continues,
    answer: (path, fields) => {
      const [, turn, step] = /^work\[(\d+)\]\.(think|shorten)$/.exec(path) ?? [];
      if (turn === undefined) return { output: path };
      const { transcript } = fields as { transcript: string | null };
      given.push(`${step} ${turn} ${transcript}`);
      if (step === "shorten") return { output: { transcript: `s${turn}`, tokens: 10, calls: [], isDone: false, answer: null }, usage };
      const calls = turn === "3" ? [] : [call(turn)];
      const thought = { transcript: `t${turn}`, tokens: turn === "1" ? 2_000 : 10, calls, isDone: calls.length === 0, answer: null };
      return { output: thought as unknown as Json, usage };
    },
  });
  expect(end.result.status).toBe("completed");
  expect(given).toEqual(["think 0 null", "think 1 t0", "shorten 2 t1", "think 2 s2", "think 3 t2"]);
  const told = port.log.find(({ type, step }) => type === "step.completed" && step === "work");
  expect(told?.data["usage"]).toMatchObject({ calls: 5, costUsd: 2.5 });
});

test.each([false, true])(
  "whoever takes the conversation over calls as many at once as it may, with continue-as-new: %s",
  async (continues) => {
    const { tool: _, ...bare } = call("a");
    const calls = ["a", "b", "c", "d"].map(call);
    const { end, port } = await runPlain(definition({ agent: "clerk", tools: undefined, concurrency: 3 }), {
      continues,
      steer: (_, { callsAtOnce }) => void callsAtOnce.set("clerk", 4).set("expert", 2),
      answer: (path) => {
        if (!path.endsWith("think")) return { output: path, afterMs: 10 };
        const turn = Number(path.slice("work[".length, path.indexOf("]")));
        const asked = [calls, [{ ...bare, handoff: "expert" }], calls, []][turn]!;
        const handing = turn === 1 ? { handoff: 0 } : {};
        return { output: { transcript: "t", tokens: 1, calls: asked, isDone: turn === 3, answer: null, ...handing } as unknown as Json };
      },
    });
    expect(end.result.status).toBe("completed");
    expect([0, 2].map((turn) => mostAtOnce(port, `work[${turn}].act`))).toEqual([3, 2]);
  },
);

function mostAtOnce({ trace }: PlainRun["port"], prefix: string): number {
  let [running, most] = [0, 0];
  for (const { what, path } of trace) {
    if (!path.startsWith(prefix)) continue;
    running += what === "start" ? 1 : -1;
    most = Math.max(most, running);
  }
  return most;
}

test("an agent that is stopped begins no child, hands nothing over and asks nobody", async () => {
  const { tool, ...bare } = call("a");
  const calls = [
    { ...bare, tool },
    { ...bare, workflow: "pay" },
    { ...bare, workflow: "agent.b", agent: "b" },
    { ...bare, handoff: "b" },
    bare,
  ];
  const told: Json[] = [];
  const { end, port } = await runPlain(definition({ agent: "clerk", tools: undefined }), {
    steer: (_, { inactive }) => inactive.add("clerk"),
    answer: (path, fields) => {
      if (!path.endsWith("think")) return { output: path };
      const { results } = fields as { results: Json[] };
      told.push(...results);
      const isDone = results.length > 0;
      return { output: { transcript: "t", tokens: 1, calls: isDone ? [] : calls, isDone, answer: null } as unknown as Json };
    },
  });
  expect(end.result.status).toBe("completed");
  const refused = { error: { code: "agent_state" } };
  expect(told).toMatchObject([{ output: "work[0].act[0].call" }, refused, refused, refused, refused]);
  expect(port.log.filter(({ type }) => type === "child.started" || type === "approval.requested")).toEqual([]);
});

test.each([
  ["approve", 1, "completed"],
  ["reject", 0, "failed"],
] as const)("an answer that people %s is added to its thread %s times", async (decision, times, status) => {
  const asks = { title: "Really?", payload: "done", assignees: [], expiresAfter: null, problem: makeProblem("guardrail", "no") };
  const thought = { transcript: "t0", tokens: 10, calls: [], isDone: true, answer: "done", asks };
  const rule = { name: "x", type: "pattern", pattern: "x", on: ["output"], outcome: "human" };
  const { end, port } = await runPlain(definition({ thread: "t", guardrails: [rule] }), {
    answer: () => ({ output: thought as unknown as Json }),
    steer: (walk, at) =>
      at.at(1_000, () => void walk.approvals.decide({ path: "work[0].approve", decision, by: { name: "ada", kind: "person", roles: [] } })),
  });
  expect(end.result.status).toBe(status);
  expect(port.exchanges).toEqual(Array.from({ length: times }, () => ({ brief: "brief", transcript: "t0", answer: "done" })));
});

test("a call has the time that its brief says", async () => {
  const calls = [call("a"), { ...call("b"), timeoutMs: 40_000 }, { ...call("c"), timeoutMs: 7_200_000 }];
  const { port } = await runPlain(definition(), {
    answer: (path) => {
      if (!path.endsWith("think")) return { output: path };
      const isDone = path !== "work[0].think";
      return { output: { transcript: "t", tokens: 1, calls: isDone ? [] : calls, isDone, answer: null } as unknown as Json };
    },
  });
  const given = [0, 1, 2].map((index) => port.times.get(`work[0].act[${index}].call`));
  expect(given).toEqual([
    { timeoutMs: 30_000, totalTimeoutMs: 600_000 },
    { timeoutMs: 40_000, totalTimeoutMs: 600_000 },
    { timeoutMs: 7_200_000, totalTimeoutMs: 7_200_000 },
  ]);
});

test("a question that nobody answers in time is told so to the model", async () => {
  const { tool: _, ...bare } = call("q");
  const asks = { ...bare, name: "ask_human", arguments: { question: "Why?" }, assignees: ["ada"], expiresAfter: "2h", remindAfter: "1h" };
  const told: Json[] = [];
  const { port } = await runPlain(definition(), {
    answer: (_, fields) => {
      const { results } = fields as { results: Json[] };
      told.push(...results);
      const isDone = results.length > 0;
      return { output: { transcript: "t", tokens: 1, calls: isDone ? [] : [asks], isDone, answer: null } as unknown as Json };
    },
  });
  expect(told).toEqual([{ output: { unanswered: "Nobody has answered in the time that they had.", by: null } }]);
  const [requested, reminded] = ["approval.requested", "approval.reminded"].map((type) => port.log.filter((event) => event.type === type));
  expect(requested).toMatchObject([{ data: { assignees: ["ada"], expiresAt: expect.any(String) as unknown } }]);
  expect(reminded).toHaveLength(1);
});

test("what an agent costs is the sum of its turns", async () => {
  const answer = answering(2);
  const { port } = await runPlain(definition(), {
    answer: (path, fields) => ({ ...answer(path, fields), ...(path.endsWith("think") ? { usage } : {}) }),
  });
  const told = port.log.find(({ type, step }) => type === "step.completed" && step === "work");
  expect(told?.data["usage"]).toEqual({ model: "m", inputTokens: 9, outputTokens: 6, costUsd: 1.5, calls: 3, toolCalls: 3 });
});
