import { expect, test } from "@jest/globals";
import { callDefaults } from "../contracts/limits.ts";
import { readDefinitionValue } from "./index.ts";
import type { Plan } from "./plan.ts";

function planOf(steps: object[], envelope: object = {}): Plan {
  const result = readDefinitionValue({ name: "a", version: "1.0.0", steps, ...envelope }, { hashOf: (text) => text });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

const first = (steps: object[], envelope?: object) => planOf(steps, envelope).body.steps[0];

test("the platform's defaults are frozen into calls", () => {
  expect(first([{ id: "a", type: "http", url: "https://example.com" }])).toEqual({
    id: "a",
    type: "http",
    needs: [],
    export: [],
    catch: [],
    onError: "fail",
    request: { method: "GET", url: ["https://example.com"], headers: [], query: [] },
    effect: "read",
    ...callDefaults.http,
  });
});

test("how a model is to answer stands in one place, and nowhere when nothing is said of it", () => {
  const manner = { reasoning: "high", maxOutputTokens: 2_000 };
  const asks = [{ name: "p", type: "pattern", pattern: "x", on: ["output"], outcome: "human" }];
  const llm = { id: "a", type: "llm", prompt: "x" };
  expect(first([{ ...llm, ...manner }])).toMatchObject({ type: "llm", manner });
  expect(first([llm])).not.toHaveProperty("manner");
  for (const step of [
    { ...llm, guardrails: asks },
    { id: "a", type: "agent", prompt: "x" },
  ]) {
    expect(first([{ ...step, ...manner }])).toMatchObject({ briefing: { steps: [{ type: "brief", manner }] } });
    expect(first([step])).not.toHaveProperty("briefing.steps.0.manner");
  }
});

test("the definition's defaults stand between the platform's and the step's", () => {
  const defaults = { retry: { maxAttempts: 7, initialInterval: "1m" }, timeout: "2h", onError: "park", model: "fast", priority: 2 };
  const steps = [{ id: "a", type: "llm", prompt: "x", retry: { backoff: 3, while: "output == ''" } }];
  expect(first(steps, { defaults })).toMatchObject({
    onError: "park",
    priority: 2,
    models: [{ lit: "fast" }],
    messages: [{ role: "user", content: { lit: "x" } }],
    repairs: 2,
    timeoutMs: 7_200_000,
    totalTimeoutMs: 7_200_000,
    retry: {
      maxAttempts: 7,
      initialIntervalMs: 60_000,
      maxIntervalMs: 60_000,
      backoff: 3,
      jitter: 0.2,
      while: ["op", "==", ["name", "output"], ["lit", ""]],
    },
  });
});

test.each([
  ["a built-in that answers at once", "text.lines", undefined, true],
  ["a tool of one's own", "crm.find", undefined, false],
  ["a tool of one's own, where the step says so", "crm.find", true, true],
  ["a built-in, where the step says no", "text.lines", false, false],
])("what runs beside the walk: %s", (_, tool, short, isLocal) => {
  expect("local" in first([{ id: "a", type: "tool", tool, ...(short === undefined ? {} : { short }) }])!).toBe(isLocal);
});

test("what a step waits for is explicit", () => {
  const steps = [
    { id: "a", type: "set", values: 1 },
    { id: "b", type: "set", values: 1 },
    { id: "c", type: "set", values: 1, needs: [] },
    { id: "d", type: "set", values: 1, needs: ["a", "c"] },
  ];
  expect(planOf(steps).body.steps.map(({ needs }) => needs)).toEqual([[], ["a"], [], ["a", "c"]]);
});

test("a url keeps its expressions apart from its text", () => {
  const input = { type: "object", properties: { id: { type: "string" } } };
  const id = ["get", ["name", "input"], "id"];
  expect(first([{ id: "a", type: "http", url: "https://example.com/${input.id}/x" }], { input })).toMatchObject({
    request: { url: ["https://example.com/", id, "/x"] },
  });
  expect(first([{ id: "a", type: "http", url: "${input.id}", method: "post" }], { input })).toMatchObject({
    request: { method: "POST", url: [id] },
  });
});

test("names that nobody gave are filled in", () => {
  const inner = [{ id: "x", type: "set", values: 1 }];
  const cases = [
    { when: true, steps: inner },
    { name: "second", when: "${input.b}", steps: inner },
  ];
  expect(first([{ id: "a", type: "switch", cases }])).toMatchObject({
    cases: [{ name: "case0", when: ["lit", true] }, { name: "second" }],
  });
  expect(first([{ id: "a", type: "foreach", items: [1], steps: inner }])).toMatchObject({
    as: "item",
    index: "index",
    concurrency: 10,
    onItemError: "fail",
    join: "all",
  });
  expect(first([{ id: "a", type: "loop", maxIterations: 3, while: true, steps: inner }])).toMatchObject({
    index: "index",
    keepLast: 10,
    onLimit: "fail",
  });
  expect(first([{ id: "a", type: "try", steps: inner, catch: [{ steps: inner }] }])).toMatchObject({ catch: [{ as: "error" }] });
});

test("the hash is taken of the canonical JSON: the order of keys does not change it", () => {
  const one = planOf([{ id: "a", type: "set", values: { x: 1, y: 2 } }]);
  const other = planOf([{ values: { y: 2, x: 1 }, type: "set", id: "a" }]);
  expect(one.hash).toBe(other.hash);
});

const call = (id: string, more: object = {}) => ({ id, type: "tool", tool: "t", ...more });

test("nothing waits for a background step, and a scope gives the output of the last step before it", () => {
  const steps = [call("a"), call("watch", { background: true }), call("b"), call("log", { background: true })];
  const { body } = planOf(steps);
  expect(body.steps.map(({ id, needs, background }) => [id, needs, background])).toEqual([
    ["a", [], undefined],
    ["watch", ["a"], true],
    ["b", ["a"], undefined],
    ["log", ["b"], true],
  ]);
  expect(body.output).toEqual({ expr: ["get", ["get", ["name", "steps"], "b"], "output"] });
  expect(planOf([call("watch", { background: true }), call("b")]).body).not.toHaveProperty("output");
});

test("a step that is no call is tried once unless it says otherwise, whatever the definition's defaults for calls are", () => {
  const defaults = { retry: { maxAttempts: 9 }, timeout: "1h" };
  const scope = { id: "s", type: "sequence", steps: [call("a")] };
  expect(first([scope], { defaults })).not.toHaveProperty("retry");
  expect(first([{ ...scope, retry: { initialInterval: "5s" }, timeout: "1m", totalTimeout: "10m" }], { defaults })).toMatchObject({
    retry: { maxAttempts: 3, initialIntervalMs: 5_000, backoff: 2 },
    timeLimitMs: 60_000,
    totalTimeLimitMs: 600_000,
  });
});

test("the time of an agent's task is its own, for its published agent to change where nobody says it", () => {
  const work = { id: "work", type: "agent", prompt: "x" };
  expect(first([work])).toMatchObject({ time: { ms: 3_600_000, isUnsaid: true } });
  const timed = first([{ ...work, timeout: "10m", totalTimeout: "1d" }]);
  expect(timed).toMatchObject({ time: { ms: 600_000 }, totalTimeLimitMs: 86_400_000 });
  expect(timed).not.toHaveProperty("timeLimitMs");
});

test("a thread of an agent is held by one task at a time", () => {
  const work = { id: "work", type: "agent", prompt: "x", thread: "c1" };
  expect(first([{ ...work, agent: "clerk" }])?.lock).toEqual({ key: { lit: "c1" }, limit: 1, thread: { agent: "clerk" } });
  // Of a step without a published agent it is the step's own.
  expect(first([work])?.lock).toEqual({ key: { lit: "c1" }, limit: 1, thread: {} });
  expect(first([{ id: "work", type: "agent", prompt: "x" }])).not.toHaveProperty("lock");
});

test("what a step holds, undoes and touches is in its plan", () => {
  const undo = [{ id: "undo", type: "tool", tool: "u" }];
  expect(first([call("a", { lock: { key: "x" }, compensate: undo, effect: "write", fairnessKey: "k" })])).toMatchObject({
    lock: { key: { lit: "x" }, limit: 1 },
    compensate: { steps: [{ id: "undo", needs: [] }] },
    effect: "write",
    fairnessKey: { lit: "k" },
  });
  expect(first([{ id: "a", type: "http", url: "https://example.com", method: "head" }])).toMatchObject({ effect: "read" });
  expect(first([{ id: "a", type: "http", url: "https://example.com", method: "post" }])).not.toHaveProperty("effect");
  expect(first([{ id: "a", type: "http", url: "https://example.com", effect: "dangerous" }])).toMatchObject({ effect: "dangerous" });
});

test("flags that are false leave no trace", () => {
  const steps = [{ id: "f", type: "foreach", items: [1], isolate: false, background: false, steps: [call("a")] }];
  expect(first(steps)).toEqual(first([{ id: "f", type: "foreach", items: [1], steps: [call("a")] }]));
});

test("joins, streams, questions and events", () => {
  const set = [{ id: "x", type: "set", values: 1 }];
  expect(first([{ id: "p", type: "parallel", until: "${done == []}", rest: "finish", branches: { a: set } }])).toMatchObject({
    join: "all",
    until: ["op", "==", ["name", "done"], ["list"]],
    rest: "finish",
  });
  expect(first([{ id: "l", type: "listen", one: { event: "e" }, until: true, foreach: { steps: set } }])).toMatchObject({
    mode: "one",
    stream: { as: "event", concurrency: 1, until: ["lit", true], body: { steps: [{ id: "x" }] } },
  });
  const ask = {
    id: "a",
    type: "approval",
    title: "x",
    payload: 1,
    quorum: 2,
    editable: true,
    escalate: { after: "1d", to: ["b"] },
    form: {},
  };
  expect(first([ask])).toMatchObject({
    quorum: { lit: 2 },
    editable: true,
    escalate: { after: { lit: "1d" }, to: { lit: ["b"] } },
    form: {},
  });
  expect(first([{ id: "e", type: "emit", event: "x" }])).not.toHaveProperty("to");
});

test("what starts runs is complete", () => {
  const triggers = [
    { schedule: { every: "1h", input: { text: "$${x}" } } },
    { schedule: { cron: "@daily", overlap: "allowAll", catchUp: 5 } },
    { webhook: {} },
    { event: { event: "e", when: "event.data == 1" } },
  ];
  expect(planOf([call("a")], { triggers, concurrency: {} })).toMatchObject({
    concurrency: { key: { lit: "a" }, limit: 1, onLimit: "queue" },
    triggers: [
      { type: "schedule", everyMs: 3_600_000, overlap: "skip", catchUpMs: 3_600_000, input: { text: "${x}" } },
      { type: "schedule", cron: "@daily", overlap: "allowAll", catchUpMs: 5, input: {} },
      { type: "webhook", path: "a" },
      { type: "event", event: "e", when: ["op", "==", ["get", ["name", "event"], "data"], ["lit", 1]] },
    ],
  });
});
