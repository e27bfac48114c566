import { expect, test } from "@jest/globals";
import { cronProblem } from "./cron.ts";

test.each([
  "* * * * *",
  "0 6 * * 1-5",
  "*/15 0,12 1-7/2 jan-mar SUN",
  "5/10 * * * 7",
  "0 0 29 2 *",
  "0 0 13 * fri",
  "@hourly",
  "  0  0 * * *  ",
])("%j is a cron expression", (cron) => {
  expect(cronProblem(cron)).toBeUndefined();
});

test.each([
  ["", "five"],
  ["0 0 * * * *", "five"],
  ["-1 * * * *", "minute"],
  ["1- * * * *", "minute"],
  ["1-2-3 * * * *", "minute"],
  ["*-5 * * * *", "minute"],
  ["1,,2 * * * *", "minute"],
  ["*/100 * * * *", "minute"],
  ["0 0 jan * *", "day of month"],
  ["0 0 30 feb *", "never"],
  // Both days must fit: there is no "or" between them in Temporal.
  ["0 0 31 2 fri", "never"],
  ["@every 5m", "@hourly"],
])("%j is none: %s", (cron, word) => {
  expect(cronProblem(cron)).toContain(word);
});
