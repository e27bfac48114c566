import { expect, test } from "@jest/globals";
import { onceOutside } from "./once-outside.ts";
import { wellRun } from "./sample.ts";

test("a run that went well holds", () => expect(onceOutside(wellRun())).toEqual([]));

test("a second request breaks it, also with the same key", () => {
  const evidence = wellRun();
  evidence.requests.push({ run: "r", step: "b", key: "r:b", time: 2_050 });
  expect(onceOutside(evidence)).toEqual(["r b has happened 2 times"]);
});

test("a completed step that never happened breaks it", () => {
  const evidence = wellRun();
  evidence.steps.push({ run: "s", path: "b", status: "completed", reusedFrom: null });
  expect(onceOutside(evidence)).toEqual(["s b is recorded as completed and has never happened"]);
});

test("a fork that takes its origin's results holds; one that repeats an effect breaks it", () => {
  const evidence = wellRun();
  evidence.rows.push({ run: "f", status: "completed", parent: null, forkOf: "r", waitingFor: null });
  evidence.steps.push({ run: "f", path: "b", status: "completed", reusedFrom: "r" });
  expect(onceOutside(evidence)).toEqual([]);
  evidence.requests.push({ run: "f", step: "b", key: "f:b", time: 3_000 });
  expect(onceOutside(evidence)).toEqual(["r b has happened 2 times"]);
});
