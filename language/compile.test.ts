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
