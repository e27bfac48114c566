import { expect, test } from "@jest/globals";
import { RUN_ID_PATTERN } from "../contracts/ids.ts";
import { runIdFor } from "./begin.ts";

test("a key always leads to the same run, another tenant's same key to another one", () => {
  expect(runIdFor("acme", ["start", "order-1"])).toBe(runIdFor("acme", ["start", "order-1"]));
  expect(runIdFor("acme", ["start", "order-1"])).not.toBe(runIdFor("other", ["start", "order-1"]));
  expect(runIdFor("acme", ["start", "order-1"])).not.toBe(runIdFor("acme", ["start", "order-2"]));
});

test("no Idempotency-Key of a start names what something else has started, however its words are spaced", () => {
  const keys: Parameters<typeof runIdFor>[1][] = [
    ["start", "event paid e1 bill 0"],
    ["event", "paid", "e1", "bill", "0"],
    ["event", "paid e1", "bill", "0"],
    ["webhook", "paid", "e1", "bill", "0"],
    ["start", "retry r_1 k"],
    ["retry", "r_1", "k"],
    ["fork", "r_1", "k"],
  ];
  expect(new Set(keys.map((key) => runIdFor("acme", key))).size).toBe(keys.length);
});

test("without a key every run is new", () => {
  const ids = Array.from({ length: 1_000 }, () => runIdFor("acme", undefined));
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(new RegExp(RUN_ID_PATTERN));
});
