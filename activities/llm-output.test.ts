import { describe, expect, test } from "@jest/globals";
import { processorTime } from "../tests/processor-time.ts";
import { checkAnswer } from "./llm-output.ts";

const anything = {};

describe("an answer in a code fence", () => {
  test.each([
    ["named", '```json\n{"a":1}\n```'],
    ["not named, between words of white space", ' \n```\n{"a":1}```  \n'],
    ["in lines of Windows", '```JSON\r\n{"a":1}\r\n```\r\n'],
    ["none", ' {"a":1}\n'],
  ])("%s", (_, text) => {
    expect(checkAnswer(text, anything)).toEqual({ value: { a: 1 }, problems: [] });
  });

  test.each(["```json", "```json\n", "``` no json ```", "```json\n{"])("that holds no JSON is no JSON: %j", (text) => {
    expect(checkAnswer(text, anything).problems).toHaveLength(1);
  });

  test("holding nothing but white space is read at once, however long", () => {
    const spentMs = processorTime();
    expect(checkAnswer(`\`\`\`${"\n".repeat(3_000)}x`, anything).problems).toHaveLength(1);
    expect(spentMs()).toBeLessThan(1_000);
  });
});
