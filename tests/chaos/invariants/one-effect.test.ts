import { expect, test } from "@jest/globals";
import { oneEffect } from "./one-effect.ts";
import { wellRun } from "./sample.ts";

const again = (change: object) => {
  const evidence = wellRun();
  evidence.requests.push({ run: "r", step: "b", key: "r:b", time: 2_050, ...change });
  return oneEffect(evidence);
};

test("a run that went well holds", () => expect(oneEffect(wellRun())).toEqual([]));

test("a second request with the same key, before the result is recorded, holds", () => expect(again({})).toEqual([]));

test("a second key breaks it", () => expect(again({ key: "r:b:2" })).toEqual(["r b has shown 2 Idempotency-Keys"]));

test("a request after the result was recorded breaks it", () =>
  expect(again({ time: 2_101 })).toEqual(["r b was requested again after it was completed"]));

test("a completed step without a request breaks it", () => {
  const evidence = wellRun();
  evidence.steps.push({ run: "s", path: "b", status: "completed", reusedFrom: null });
  expect(oneEffect(evidence)).toEqual(["s b is recorded as completed without a request"]);
});

test("a request that nothing is recorded of breaks it", () => {
  const evidence = wellRun();
  evidence.steps.pop();
  expect(oneEffect(evidence)).toEqual(["r b was requested and is not recorded"]);
});

test("a requested step that is recorded as skipped breaks it", () => {
  const evidence = wellRun();
  evidence.steps[1]!.status = "skipped";
  expect(oneEffect(evidence)).toEqual(["r b was requested and is recorded as skipped"]);
});
