import { PassThrough } from "node:stream";
import { expect, test } from "@jest/globals";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { LastWords } from "./last-words.ts";

async function after(...said: (string | Buffer)[]): Promise<Fault> {
  const stderr = new PassThrough();
  const words = new LastWords(stderr);
  for (const piece of said) stderr.write(piece);
  return (await words.addTo(new Fault("tool", "Connection closed.", { extra: { retryable: true } }))) as Fault;
}

test("a fault has what the process said, and its last line in its sentence", async () => {
  const { problem } = await after("one\n", "two\nthree", "!\n");
  expect(problem).toMatchObject({
    detail: "Connection closed. It said last: three!",
    stderr: "one\ntwo\nthree!",
    retryable: true,
  });
});

test("a process that said nothing leaves the fault as it is", async () => {
  expect((await after()).problem).not.toHaveProperty("stderr");
  expect((await after("\n \n")).message).toBe("Connection closed.");
});

test("of a long text the end is kept, from the first whole word on, as large as a problem takes", async () => {
  const secret = "s".repeat(60);
  const { problem } = await after(`${secret} ${"word ".repeat(limits.mcpStderrMax / 5)}`.slice(0, limits.mcpStderrMax + 30));
  const kept = problem["stderr"] as string;
  expect(kept).toMatch(/^word word/);
  expect(kept.length).toBeGreaterThan(limits.mcpStderrMax - 100);
  const quoted = (await after('"a"\n'.repeat(1_000))).problem["stderr"] as string;
  expect(JSON.stringify(quoted).length).toBeLessThanOrEqual(limits.errorDetailMax);
});

test("a character that comes in two pieces is one, and what cannot be stored is replaced", async () => {
  const [first, second] = [Buffer.from("é").subarray(0, 1), Buffer.from("é").subarray(1)];
  expect((await after(first, second, "\0")).problem["stderr"]).toBe("é\ufffd");
});
