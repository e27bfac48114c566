import { createHash } from "node:crypto";
import { expect, test } from "@jest/globals";
import { hashOf, sha256 } from "./sha256.ts";

const expected = (text: string): string => createHash("sha256").update(text).digest("hex");

test("is SHA-256, at every length around a block's end and beyond ASCII", () => {
  const texts = [...Array.from({ length: 200 }, (_, length) => "a".repeat(length)), "ä€𝄞".repeat(50), "x".repeat(100_000)];
  expect(texts.map(sha256)).toEqual(texts.map(expected));
});

test("values that are equal have one hash", () => {
  expect(hashOf({ b: [1, { d: 2, c: 3 }], a: null })).toBe(expected('{"a":null,"b":[1,{"c":3,"d":2}]}'));
});
