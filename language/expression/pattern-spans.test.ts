import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { findSpans } from "./pattern-spans.ts";
import { processorTime } from "../../tests/processor-time.ts";

const found = (text: string, pattern: string): string[] => findSpans(text, pattern).map(({ from, to }) => text.slice(from, to));

describe("the places of a pattern in a text", () => {
  test.each([
    ["one after the other", "card 4111 and 4242.", "\\d{4}", ["4111", "4242"]],
    ["as long as they can be", "aaa b aa", "a+", ["aaa", "aa"]],
    ["those that overlap as one", "abcabc", "abca|cab", ["abcab"]],
    ["those that touch as one", "1234", "\\d", ["1234"]],
    ["one that reaches back over others", "xaybz", "a|b|xaybz", ["xaybz"]],
    ["at the edges of words", "key keyring key", "\\bkey\\b", ["key", "key"]],
    ["whatever the case", "Secret SECRET", "(?i)secret", ["Secret", "SECRET"]],
    ["beyond characters of two units", "🎈🎈 4111 🎈", "\\d+ .", ["4111 🎈"]],
    ["nowhere", "nothing here", "\\d", []],
  ])("are found: %s", (_, text, pattern, expected) => {
    expect(found(text, pattern)).toEqual(expected);
  });

  test("are those that every part of the text says for itself", () => {
    const patterns = ["a+b", "ab|ba", "a.b", "(ab)*c", "\\bab?\\b", "[ab]{2,3}c?", "(a|aa)+b"];
    fc.assert(
      fc.property(fc.stringMatching(/^[abc ]{0,12}$/), fc.constantFrom(...patterns), (text, pattern) => {
        expect(findSpans(text, pattern)).toEqual(unionOfMatches(text, pattern));
      }),
      { numRuns: 300 },
    );
  });

  test("take time in proportion to the text, also where JavaScript's own would take for ever", () => {
    const spentMs = processorTime();
    expect(findSpans("a".repeat(50_000), "(a|aa)+$")).toHaveLength(1);
    expect(findSpans(`${"a".repeat(50_000)}!`, "(a*)*b")).toEqual([]);
    expect(spentMs()).toBeLessThan(5_000);
  });
});

/** Every piece of the text that matches as a whole, in its place. */
function unionOfMatches(text: string, pattern: string): { from: number; to: number }[] {
  const spans: { from: number; to: number }[] = [];
  for (let from = 0; from < text.length; from++)
    for (let to = from + 1; to <= text.length; to++) {
      // Looks behind and ahead keep the edges what they are.
      const whole = new RegExp(`(?<=^[^]{${from}})(?:${pattern})(?=[^]{${text.length - to}}$)`);
      const match = whole.exec(text);
      if (match?.index === from && match[0].length === to - from) spans.push({ from, to });
    }
  return merged(spans);
}

function merged(spans: { from: number; to: number }[]): { from: number; to: number }[] {
  const all: { from: number; to: number }[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else all.push({ ...span });
  }
  return all;
}
