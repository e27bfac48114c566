import { expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { resultMessages } from "./tool-results.ts";

/** What a model reads of what a tool gave, or an MCP server. */
async function read(output: Json, server?: string) {
  const tool = { name: "add", tool: "add", description: "", parameters: {}, asks: false, assignees: [], expiresAfter: null };
  const before = [{ role: "assistant" as const, content: "", toolCalls: [{ id: "1", name: "add", arguments: {} }] }];
  const turn = { brief: { tools: [{ ...tool, ...(server === undefined ? {} : { server }) }] }, before };
  const [message] = await resultMessages({ ...turn, fields: { results: [{ output }], contextTokens: 1_000 } }, async (result) => result);
  return message;
}

const words = (text: string) => ({ text, content: [{ type: "text", text }], structured: null as Json, isError: false });
const image = { type: "image", data: "AAAA", mimeType: "image/png" };

test("a model gets what an MCP server says once: the value, or else the words, and what is neither beside it", async () => {
  expect(await read({ ...words('{"sum":3}'), structured: { sum: 3 } }, "calc")).toEqual({
    role: "tool",
    toolCallId: "1",
    content: '{"sum":3}',
  });
  expect(await read(words("three"), "calc")).toMatchObject({ content: "three" });
  const seen = { ...words("three"), content: [...words("three").content, image] };
  expect(JSON.parse((await read(seen, "calc"))!.content)).toEqual({ said: "three", content: [image] });
  expect(JSON.parse((await read({ ...words(""), content: [image] }, "calc"))!.content)).toEqual([image]);
});

test("what an MCP server calls an error is one to the model", async () => {
  expect(await read({ ...words("no such city"), isError: true }, "calc")).toMatchObject({ content: "no such city", isError: true });
});

test("what any other tool gives stays as it is", async () => {
  const output = { ...words("three"), structured: 3 };
  expect(JSON.parse((await read(output))!.content)).toEqual(output);
});
