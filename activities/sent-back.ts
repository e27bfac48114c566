import type { Problem } from "../contracts/faults.ts";

/** A guardrail lets an answer not pass: its model is asked again, and told what was wrong. */
export class SentBack extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}
