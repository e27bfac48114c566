import { expect, test } from "@jest/globals";
import { RUN_ID_PATTERN } from "../contracts/ids.ts";
import { runIdFor } from "./begin.ts";

test("a key always leads to the same run, another tenant's same key to another one", () => {
  expect(runIdFor("acme", "order-1")).toBe(runIdFor("acme", "order-1"));
  expect(runIdFor("acme", "order-1")).not.toBe(runIdFor("other", "order-1"));
  expect(runIdFor("acme", "order-1")).not.toBe(runIdFor("acme", "order-2"));
});

test("without a key every run is new", () => {
  const ids = Array.from({ length: 1_000 }, () => runIdFor("acme", undefined));
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(new RegExp(RUN_ID_PATTERN));
});
