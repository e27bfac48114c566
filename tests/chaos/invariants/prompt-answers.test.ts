import { expect, test } from "@jest/globals";
import type { Answered } from "./evidence.ts";
import { answersNotCut, promptAnswers } from "./prompt-answers.ts";

const answered = (change: Partial<Answered>) => ({
  answers: [{ what: "list", ms: 9_999, status: 200 as const, isProblem: false, ...change }],
  patience: 1,
});

test.each<Partial<Answered>>([{}, { status: 503, isProblem: true }, { status: "refused" }])("%j holds", (change) =>
  expect(promptAnswers(answered(change))).toEqual([]),
);

test.each<[Partial<Answered>, string]>([
  [{ ms: 10_000 }, "list was not answered within 10 s"],
  [{ status: "late" }, "list was not answered within 10 s"],
  [{ status: 500, isProblem: true }, "list was answered 500"],
  [{ status: 503 }, "list was answered 503 without a problem"],
])("%j breaks it", (change, sentence) => expect(promptAnswers(answered(change))).toEqual([sentence]));

test("a connection that is cut breaks it where the API is not killed", () =>
  expect([answersNotCut(answered({ status: "cut" })), promptAnswers(answered({ status: "cut" }))]).toEqual([["list was cut off"], []]));
