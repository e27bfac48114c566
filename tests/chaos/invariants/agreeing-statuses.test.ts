import { expect, test } from "@jest/globals";
import type { RunStatus } from "../../../contracts/events.ts";
import { agreeingStatuses } from "./agreeing-statuses.ts";
import { wellRun } from "./sample.ts";

const between = (status: RunStatus, inTemporal: RunStatus): string[] =>
  agreeingStatuses({
    ...wellRun(),
    rows: [{ run: "r", status, parent: null, forkOf: null, waitingFor: null }],
    executions: [{ run: "r", status: inTemporal }],
  });

test.each<[RunStatus, RunStatus]>([
  ["completed", "completed"],
  ["completed_with_errors", "completed"],
  ["waiting", "running"],
  ["terminated", "terminated"],
])("%s beside %s holds", (row, inTemporal) => expect(between(row, inTemporal)).toEqual([]));

test.each<[RunStatus, RunStatus]>([
  ["running", "completed"],
  ["completed", "running"],
  ["canceled", "terminated"],
])("%s beside %s breaks it", (row, inTemporal) =>
  expect(between(row, inTemporal)).toEqual([`r is recorded as ${row}, and Temporal says ${inTemporal}`]),
);

test("a row that Temporal does not know breaks it", () =>
  expect(agreeingStatuses({ ...wellRun(), executions: [] })).toEqual(["r is recorded as completed, and Temporal says nothing"]));
