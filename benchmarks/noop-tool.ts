import { z } from "zod";
import { defineTool } from "../activities/tool-registry.ts";

/** For a worker started with `TENUTO_TOOLS` naming this file. */
export const tools = [
  defineTool({
    name: "bench.text",
    description: "A text of so many characters.",
    input: z.strictObject({ bytes: z.int() }),
    effect: "read",
    short: true,
    run: ({ bytes }) => "lorem ipsum ".repeat(Math.ceil(bytes / 12)).slice(0, bytes),
  }),
  defineTool({ name: "bench.noop", description: "Does nothing.", input: { type: "object" }, effect: "read", short: true, run: () => null }),
];
