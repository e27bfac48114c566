import type { Evidence } from "./evidence.ts";

const promptMs = 10_000;

/**
 * The API does what it is asked or says 503 as a problem, within 10 s.
 * That nobody listens (`refused`) or that a killed process cuts a connection is the fault's own doing; campaigns that
 * kill no API take `answersNotCut` along.
 */
export const promptAnswers = ({ answers, patience }: Pick<Evidence, "answers" | "patience">): string[] =>
  answers.flatMap(({ what, ms, status, isProblem }) => {
    if (status === "late" || ms >= promptMs * patience) return [`${what} was not answered within ${(promptMs * patience) / 1_000} s`];
    if (typeof status === "string" || status < 300) return [];
    if (status !== 503) return [`${what} was answered ${status}`];
    return isProblem ? [] : [`${what} was answered 503 without a problem`];
  });

export const answersNotCut = ({ answers }: Pick<Evidence, "answers">): string[] =>
  answers.filter(({ status }) => status === "cut").map(({ what }) => `${what} was cut off`);
