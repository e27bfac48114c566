import { randomUUID } from "node:crypto";
import { z } from "zod";
import { defineTool } from "../../activities/tool-registry.ts";

/** Tools of a user: a module that TENUTO_TOOLS names. */
export const tools = [
  defineTool({
    name: "test.double",
    description: "Twice the number.",
    input: z.strictObject({ n: z.number() }),
    output: z.strictObject({ n: z.number() }),
    effect: "read",
    run: ({ n }) => ({ n: n * 2 }),
  }),
  defineTool({
    name: "test.list",
    description: "Numbered items, each with padding.",
    input: z.strictObject({ count: z.int(), bytes: z.int().default(0) }),
    effect: "read",
    run: ({ count, bytes }) => Array.from({ length: count }, (_, n) => ({ n, pad: "x".repeat(bytes) })),
  }),
  defineTool({
    name: "test.breaks",
    description: "Never works.",
    input: z.strictObject({}),
    effect: "read",
    run() {
      throw new Error("broken on purpose");
    },
  }),
  defineTool({
    name: "test.short",
    description: "Answers after a while, each time with another word; fails the first times it is called with one key.",
    input: z.strictObject({ ms: z.int().default(0), failures: z.int().default(0) }),
    effect: "read",
    short: true,
    async run({ ms, failures }, { idempotencyKey }) {
      const call = (calls.get(idempotencyKey) ?? 0) + 1;
      calls.set(idempotencyKey, call);
      await new Promise((later) => setTimeout(later, ms));
      if (call <= failures) throw new Error("not yet");
      return { word: randomUUID(), call };
    },
  }),
];

const calls = new Map<string, number>();
