import { expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { textOf, wordsIn } from "./mcp-result.ts";

const text = (words: string) => ({ type: "text", text: words });
const result = (content: object[], more: object = {}) => {
  const parts = content as Parameters<typeof textOf>[0];
  return { content: parts, structured: null, isError: false, text: textOf(parts), ...more };
};

test("a model reads the words of a server's result once, also those it says in the form of data", () => {
  expect(wordsIn(result([text("rain"), text("12 degrees")]))).toEqual({ content: "rain\n12 degrees" });
  expect(wordsIn(result([text('{"sum":3}')], { structured: { sum: 3 } }))).toEqual({ content: '{"sum":3}' });
});

test("a tool that says that it failed is told as such", () => {
  expect(wordsIn(result([text("no such city")], { isError: true }))).toEqual({ content: "no such city", isError: true });
});

test("what words alone do not tell is read whole", () => {
  expect(wordsIn(result([text("a map"), { type: "image", data: "AAAA", mimeType: "image/png" }]))).toBeUndefined();
  expect(wordsIn(result([], { structured: { sum: 3 } }))).toBeUndefined();
  const others: Json[] = ["rain", null, ["rain"], { text: "rain" }, { content: [text("rain")], text: "rain" }];
  for (const other of others) expect(wordsIn(other)).toBeUndefined();
});
