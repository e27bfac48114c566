import { expect, test } from "@jest/globals";
import type { Evidence } from "./evidence.ts";
import { nothingLost } from "./nothing-lost.ts";
import { wellRun } from "./sample.ts";

const after = (change: (evidence: Evidence) => void): string[] => {
  const evidence = wellRun();
  change(evidence);
  return nothingLost(evidence);
};

test("a run that went well holds", () => expect(nothingLost(wellRun())).toEqual([]));

test("an accepted run without a row breaks it", () =>
  expect(after((evidence) => evidence.rows.pop())).toEqual(["r was accepted and has no row"]));

test("an accepted run that Temporal does not know breaks it", () =>
  expect(after((evidence) => evidence.executions.pop())).toEqual(["r was accepted and Temporal does not know it"]));

test("an execution that nobody asked for breaks it", () =>
  expect(after((evidence) => evidence.executions.push({ run: "s", status: "completed" }))).toEqual(["s belongs to no start"]));

test("a start that was refused and has left nothing holds", () =>
  expect(after((evidence) => evidence.starts.push({ run: "s", isAccepted: false }))).toEqual([]));

test("two rows of one run break it", () => expect(after((evidence) => evidence.rows.push(evidence.rows[0]!))).toEqual(["r has two rows"]));

test("a row that stays open breaks it", () =>
  expect(after((evidence) => (evidence.rows[0]!.status = "running"))).toEqual(["r is running and does not say what it waits for"]));

test("a row that waits by name holds", () =>
  expect(
    after(({ rows }) => {
      rows[0]!.status = "waiting";
      rows[0]!.waitingFor = [{ path: "ask", for: "approval" }];
    }),
  ).toEqual([]));
