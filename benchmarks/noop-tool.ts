import { defineTool } from "../activities/tool-registry.ts";

/** For a worker started with `TENUTO_TOOLS` naming this file. */
export const tools = [
  defineTool({ name: "bench.noop", description: "Does nothing.", input: { type: "object" }, effect: "read", short: true, run: () => null }),
];
