import { expect, test } from "@jest/globals";
import { ApplicationFailure, ChildWorkflowFailure, RetryState } from "@temporalio/common";
import { makeProblem } from "../contracts/faults.ts";
import { failureOf, faultOfChild } from "./failures.ts";

const problem = makeProblem("raised", "no", { instance: "each[3].no", isAnswered: true });
const failed = (cause: ApplicationFailure): ChildWorkflowFailure =>
  new ChildWorkflowFailure("default", { workflowId: "w", runId: "r" }, "run", RetryState.NON_RETRYABLE_FAILURE, cause);

test("an error of a window is the item's, that of a sub-workflow is one of the step that called it", () => {
  const told = (path: string): unknown => faultOfChild(failed(failureOf(problem)), { id: "r_1.c", path });
  expect(told("each[0+]")).toMatchObject({ problem: { code: "raised", status: 500, isAnswered: true, childStep: "each[3].no" } });
  expect(told("call")).toMatchObject({ problem: { code: "child", status: 502, type: "raised", childStep: "each[3].no" } });
  expect(told("call")).not.toHaveProperty("problem.isAnswered");
});
