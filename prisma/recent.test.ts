import { expect, test } from "@jest/globals";
import { Recent } from "./recent.ts";

const tenBytes = "0123456789";

test("what was used longest ago is forgotten first", () => {
  const recent = new Recent(30);
  for (const key of ["a", "b", "c"]) recent.set(key, tenBytes);
  recent.get("a");
  recent.set("d", tenBytes);
  expect(["a", "b", "c", "d"].map((key) => recent.get(key) !== undefined)).toEqual([true, false, true, true]);
});

test("bytes are counted, not characters, and what is too large for all of it leaves the others alone", () => {
  const recent = new Recent(20);
  recent.set("a", tenBytes);
  recent.set("large", "ü".repeat(11));
  expect([recent.get("a"), recent.get("large")]).toEqual([tenBytes, undefined]);
  recent.set("b", "ü".repeat(6));
  expect([recent.get("a"), recent.get("b")]).toEqual([undefined, "ü".repeat(6)]);
});

test("to keep the same again takes its room once", () => {
  const recent = new Recent(20);
  recent.set("a", tenBytes);
  for (let times = 0; times < 5; times++) recent.set("b", tenBytes);
  expect([recent.get("a"), recent.get("b")]).toEqual([tenBytes, tenBytes]);
});
