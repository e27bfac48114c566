import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { mergeCounts, packCounts, unpackCounts } from "./counts.ts";
import { limits } from "./limits.ts";

const bytesOf = (counts: object): number => JSON.stringify(counts).length;
const items = (count: number, path: (n: number) => string): [string, number][] => Array.from({ length: count }, (_, n) => [path(n), 1]);

test("what happened alike to many items stands once", () => {
  expect(packCounts(items(50_000, (n) => `each[${n}].pay`))).toEqual({ "each[0-49999].pay": 1 });
  const inner = [0, 1].flatMap((n) => items(300, (m) => `a[${n}].b[${m}].pay`));
  expect(packCounts([...inner, ["a[7].b[3].pay", 2], ["mail", 1]])).toEqual({ "a[0-1].b[0-299].pay": 1, "a[7].b[3].pay": 2, mail: 1 });
});

test("also where nothing is alike, 50,000 items take a fraction of what a run may remember", () => {
  const scattered = packCounts(Array.from({ length: 50_000 }, (_, n) => [`each[${n}].pay`, 1 + (n % 2)]));
  expect(bytesOf(scattered)).toBeLessThan(limits.stateBytesMax / 3);
});

test("packed counts say the same", () => {
  const path = fc
    .array(fc.tuple(fc.constantFrom("a", "b.c", "d.case0"), fc.option(fc.nat(12))), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.map(([name, index]) => (index === null ? name : `${name}[${index}]`)).join("."));
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(path, fc.integer({ min: 1, max: 3 })), { selector: ([each]) => each, maxLength: 60 }), (counts) => {
      expect(new Map(unpackCounts(packCounts(counts)))).toEqual(new Map(counts));
    }),
  );
});

test("of two counts of a path the greater is the newer", () => {
  expect([...mergeCounts([{ "each[0-1].pay": 1 }, undefined, { "each[1].pay": 2, a: 1 }])]).toEqual([
    ["each[0].pay", 1],
    ["each[1].pay", 2],
    ["a", 1],
  ]);
});
