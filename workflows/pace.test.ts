import { expect, test } from "@jest/globals";
import { limits } from "../contracts/limits.ts";
import { runPlain } from "../tests/walk/run-plain.ts";

const set = (values: unknown) => ({ id: "s", type: "set", values });
const steps = 100_000;
const much = `\${range(${steps}).size() > 0}`;

/** How often the walk went on in another task. */
async function restsOf(step: object): Promise<number> {
  const { end, port } = await runPlain({ name: "test", version: "1.0.0", steps: [{ id: "each", ...step }] });
  expect(end.result.status).toBe("completed");
  return port.rests;
}

const loop = (times: number, inner: object) => ({ type: "loop", maxIterations: times, onLimit: "end", steps: [inner] });
const least = (evaluations: number): number => Math.floor((evaluations * steps) / (limits.activationStepsMax + limits.expressionStepsMax));

test("iterations that take no time go on in another task before they take too long", async () => {
  expect(await restsOf(loop(50, set(much)))).toBeGreaterThan(least(50));
  expect(await restsOf(loop(2, set(much)))).toBe(0);
});

test("steps that evaluate nothing count, too", async () => {
  expect(await restsOf(loop(3_000, set(1)))).toBeGreaterThan(0);
});

test("of items that wait for another task together, no more go on at once than one task takes", async () => {
  const items = Array.from({ length: 60 }, (_, index) => index);
  expect(await restsOf({ type: "foreach", items, concurrency: 60, steps: [set(much)] })).toBeGreaterThan(least(60));
});

test("so do the `when` of handlers, which are asked on the way out", async () => {
  const raise = { id: "r", type: "raise", error: { type: "again" } };
  const tried = { id: "t", type: "try", steps: [raise], catch: [{ when: much, steps: [set(1)] }] };
  // Once on the way out, once when the handler is chosen.
  expect(await restsOf(loop(20, tried))).toBeGreaterThan(least(40));
});
