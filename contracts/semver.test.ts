import { expect, test } from "@jest/globals";
import { compareVersions, leadingFirst, newestFirst, RANGE_PATTERN, satisfies } from "./semver.ts";

test("versions stand in semver's order, prereleases before their release", () => {
  const ordered = [
    "0.9.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.2.0",
    "1.10.0",
  ];
  expect([...ordered].reverse().toSorted(compareVersions)).toEqual(ordered);
});

test("build metadata does not change the place", () => {
  expect(compareVersions("1.0.0+a", "1.0.0+b")).toBe(0);
});

test("numbers above 2^53 are compared exactly", () => {
  expect(compareVersions("1.0.9007199254740993", "1.0.9007199254740992")).toBeGreaterThan(0);
});

test("a list stands highest first, and always in one order", () => {
  const sorted = ["1.10.0", "1.10.0-rc.1", "1.9.0+a", "1.9.0+b"];
  for (const versions of [sorted, sorted.toReversed()])
    expect(
      versions
        .map((version) => ({ version }))
        .toSorted(newestFirst)
        .map(({ version }) => version),
    ).toEqual(sorted);
});

test.each([
  [["2.0.0-rc.1", "1.0.0", "1.2.0"], "1.2.0"],
  [["2.0.0-rc.1", "2.0.0-rc.2"], "2.0.0-rc.2"],
  [["2.0.0-rc.1", "2.0.0", "3.0.0-a"], "2.0.0"],
])("of %j the one that counts is %s", (versions, leading) => {
  for (const order of [versions, versions.toReversed()])
    expect(order.map((version) => ({ version })).toSorted(leadingFirst)[0]).toEqual({ version: leading });
});

test.each([
  ["1.2.3", ["1.2.3", "1.2.3+build"], ["1.2.4", "1.2.3-rc.1"]],
  ["1", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.0", "1.1.0-rc.1"]],
  ["1.2", ["1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]],
  ["^1.2.3", ["1.2.3", "1.9.0"], ["1.2.2", "2.0.0"]],
  ["^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]],
  ["^0.0.3", ["0.0.3"], ["0.0.4"]],
  ["^0", ["0.0.1", "0.9.0"], ["1.0.0"]],
  ["~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0"]],
  ["^1.0.0-rc.1", ["1.0.0-rc.2", "1.0.0"], ["1.0.0-beta"]],
  ["*", ["0.0.1", "9.0.0"], ["1.0.0-rc.1"]],
])("the range %s takes what it should", (range, inside, outside) => {
  expect(range).toMatch(new RegExp(RANGE_PATTERN));
  expect(inside.filter((version) => !satisfies(version, range))).toEqual([]);
  expect(outside.filter((version) => satisfies(version, range))).toEqual([]);
});
