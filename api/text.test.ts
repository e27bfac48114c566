import { expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { pointerOf, unkeepable } from "./text.ts";

test("ordinary data is kept, also pairs of surrogates and strange keys", () => {
  expect(unkeepable({ "": [1, -0.5, "ü 😀", null, true], __proto__x: {} })).toBeUndefined();
});

test.each([
  [{ a: ["x", "\0"] }, "/a/1"],
  [{ a: { "b/c~": "\ud83d" } }, "/a/b~1c~0"],
  [{ a: { "\0": 1 } }, "/a"],
  [JSON.parse('{"a": 1e999}') as Json, "/a"],
])("what Postgres or UTF-8 cannot hold is named by its pointer: %j", (value, pointer) => {
  expect(unkeepable(value)).toMatchObject({ pointer });
});

test("data nested 100,000 deep is refused without overflowing the stack", () => {
  const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as Json;
  expect(unkeepable(deep)?.message).toContain("deep");
});

test("pointers escape what RFC 6901 says", () => {
  expect(pointerOf(["input", 0, "a/b"])).toBe("/input/0/a~1b");
});
