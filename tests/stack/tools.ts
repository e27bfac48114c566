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
];
