import { describe, expect, test } from "@jest/globals";
import { Fault } from "../contracts/faults.ts";
import { createRedact } from "./redact.ts";

const secret = 'sk-"ü+/= 1234567';
const redact = createRedact([secret, "short"]);

describe("what leaves a process", () => {
  test.each([
    ["as it is", `key ${secret}.`, "key [secret]."],
    ["in a URL", `?key=${encodeURIComponent(secret)}&a=1`, "?key=[secret]&a=1"],
    ["in base64", `Basic ${Buffer.from(secret).toString("base64")}`, expect.stringMatching(/^Basic \[secret\]=*$/)],
    ["in JSON", JSON.stringify({ key: secret }), '{"key":"[secret]"}'],
    ["not when it is too short to be told from words", "short", "short"],
  ])("holds no secret %s", (_, text, expected) => {
    expect(redact.text(text)).toEqual(expected);
  });

  test("is the very same where there is none, and JSON where there is one", () => {
    const plain = { a: [1, "b"] };
    expect(redact.value(plain)).toBe(plain);
    expect(redact.value({ a: [secret], [secret]: 1 })).toEqual({ a: ["[secret]"], "[secret]": 1 });
    expect(redact.value(undefined)).toBeUndefined();
  });

  test("stays JSON, whatever the secret looks like, and whatever text it stands in", () => {
    const odd = createRedact(["123456789012", '{"type":"key"}', secret]);
    expect(odd.value({ order: 123456789012, total: 12 })).toEqual({ order: "[secret]", total: 12 });
    expect(odd.value({ type: "key", as: '{"type":"key"}' })).toEqual({ type: "key", as: "[secret]" });
    expect(odd.value({ answer: JSON.stringify({ text: secret }) })).toEqual({ answer: '{"text":"[secret]"}' });
  });

  test.each([1, 2, 3, 7, 100])("holds no secret in pieces of %d characters", (size) => {
    const text = `so ${secret} sk-"ü and ${secret}`;
    const shown = redact.inPieces();
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, n) => text.slice(n * size, (n + 1) * size));
    expect([...pieces.map((piece) => shown(piece)), shown()].join("")).toBe(redact.text(text));
    expect([shown("now"), shown("sk-"), shown()]).toEqual(["now", "", "sk-"]);
  });

  test("says so of errors with all that they carry", () => {
    const cause = new Error(`401 for ${secret}`);
    const fault = new Fault("http", `GET answered ${secret}`, { cause, extra: { body: { echo: secret } } });
    const error = redact.error(Object.assign(fault, { details: [{ key: secret }] })) as Fault & { details: unknown };
    expect(error).toBe(fault);
    const text = [
      error.message,
      error.stack,
      (error.cause as Error).message,
      (error.cause as Error).stack,
      JSON.stringify([error.problem, error.details]),
    ].join("\n");
    expect(text).not.toContain("1234567");
    expect(error.problem).toMatchObject({ detail: "GET answered [secret]", body: { echo: "[secret]" } });
  });
});
