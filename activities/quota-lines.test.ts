import { describe, expect, test } from "@jest/globals";
import type { Redis } from "ioredis";
import { limits } from "../contracts/limits.ts";
import { newLine, type Line } from "./quota-line.ts";
import { QuotaLines, type Change } from "./quota-lines.ts";

const kept = JSON.stringify({ ...newLine(), given: { "openai/m": 10 }, askers: { other: Date.now() } });

/** A Redis that reads as it should; `write` is what becomes of writes. */
const redisThat = (write: () => Promise<number>): Redis => {
  const answer = async (script: string): Promise<unknown> =>
    script.includes("PEXPIRE") ? write() : [kept, "1", String(Math.floor(Date.now() / 1_000)), "0"];
  return { eval: answer } as unknown as Redis;
};

const addOne: Change<{ given: number; share: number }> = (line, { share }) => {
  line.given["openai/m"] = (line.given["openai/m"] ?? 0) + 1;
  return { given: line.given["openai/m"], share };
};
const givenOf = (line: Line): number | undefined => line.given["openai/m"];

describe("a line in a Redis", () => {
  test("that takes no write is changed once, by the worker alone, for its share", async () => {
    const lines = new QuotaLines(redisThat(() => Promise.reject(new Error("Command timed out"))));
    expect(await lines.update("openai", addOne)).toEqual({ given: 11, share: 1 / 2 });
    expect(givenOf(lines.glance("openai"))).toBe(11);
  });

  test("that others write faster is tried so often, and then changed alone", async () => {
    let writes = 0;
    const lines = new QuotaLines(redisThat(async () => ((writes += 1) > 10 * limits.quotaWritesMax ? 1 : 0)));
    expect(await lines.update("openai", addOne)).toEqual({ given: 11, share: 1 / 2 });
    expect(writes).toBe(limits.quotaWritesMax);
  });
});
