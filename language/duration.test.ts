import { expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { Fault } from "../contracts/faults.ts";
import { parseDuration } from "./duration.ts";

test.each<[Json, number]>([
  ["250ms", 250],
  ["10s", 10_000],
  ["5m", 300_000],
  ["2h", 7_200_000],
  ["7d", 604_800_000],
  ["1h30m", 5_400_000],
  ["1.5h", 5_400_000],
  ["0s", 0],
  [" 5m ", 300_000],
  ["PT5M", 300_000],
  ["PT0.5S", 500],
  ["P1DT2H", 93_600_000],
  ["P2W", 1_209_600_000],
  [1_500, 1_500],
  [0, 0],
])("%j is %d ms", (value, ms) => {
  expect(parseDuration(value)).toBe(ms);
});

test.each<[Json]>([
  [""],
  ["5"],
  ["m"],
  ["5 m"],
  ["-5m"],
  [-1],
  ["5y"],
  ["P"],
  ["PT"],
  ["P1DT"],
  ["P1M"],
  ["P1Y"],
  ["5M"],
  ["1h-1m"],
  [null],
  [true],
  [[]],
  [{}],
  [1e300],
  ["9".repeat(400) + "d"],
  ["99999999d"],
])("%j is refused", (value) => {
  expect(() => parseDuration(value)).toThrow(Fault);
  expect(() => parseDuration(value)).toThrow("is not a duration");
});
