import { z } from "zod";
import { defineTool } from "../../activities/tool-registry.ts";

/** Tools of the fault campaigns, for a worker whose TENUTO_TOOLS names this file. */
export const tools = [
  defineTool({
    name: "chaos.call",
    description: "One effect, with a word to the outside before and after it: who holds its answer back holds the step right there.",
    input: z.strictObject({ url: z.string() }),
    effect: "write",
    async run({ url }, { idempotencyKey, runId, signal }) {
      const tell = async (where: string): Promise<void> => {
        const headers = { "idempotency-key": idempotencyKey, "x-run-id": runId };
        await (await fetch(where, { method: "POST", headers, signal })).arrayBuffer();
      };
      await tell(`${url}/before`);
      await tell(url);
      await tell(`${url}/after`);
    },
  }),
  defineTool({
    name: "chaos.crash",
    description: "Takes the worker with it.",
    input: z.strictObject({}),
    effect: "write",
    run: () => process.kill(process.pid, "SIGKILL"),
  }),
];
