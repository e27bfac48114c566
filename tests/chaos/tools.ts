import { z } from "zod";
import type { Json } from "../../contracts/json.ts";
import { defineTool } from "../../activities/tool-registry.ts";

type Commit = Parameters<typeof defineTool<typeof place>>[0];

const place = z.strictObject({ url: z.string() });

/** An effect at an outside that counts each request: whoever holds `/before` or `/after` holds the step before it, or with it done. */
function commit(name: string, more: Partial<Commit>) {
  return defineTool({
    name,
    description: "One effect that the outside counts.",
    input: place,
    effect: "dangerous",
    async run({ url }, { idempotencyKey, runId, signal }) {
      const headers = { "idempotency-key": idempotencyKey, "x-run-id": runId };
      const tell = async (where: string): Promise<Json> =>
        (await fetch(where, { method: "POST", headers, signal })).json() as Promise<Json>;
      await tell(`${url}/before`);
      const answer = await tell(url);
      await tell(`${url}/after`);
      return answer;
    },
    ...more,
  });
}

/** Tools of the fault campaigns, for a worker whose TENUTO_TOOLS names this file. */
export const tools = [
  defineTool({
    name: "chaos.call",
    description: "One effect, with a word to the outside before and after it: who holds its answer back holds the step right there.",
    input: z.strictObject({ url: z.string() }),
    effect: "write",
    idempotent: true,
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
  commit("chaos.commit", {}),
  commit("chaos.commitAsked", {
    async verify({ url }, { idempotencyKey, signal }) {
      const seen = await fetch(`${url}/seen`, { headers: { "idempotency-key": idempotencyKey }, signal });
      const answer = ((await seen.json()) as { seen: unknown }).seen;
      return answer === null ? { outcome: "not_done" } : { outcome: "done", result: answer as Json };
    },
  }),
  defineTool({
    name: "chaos.crash",
    description: "Takes the worker with it.",
    input: z.strictObject({}),
    effect: "read",
    short: true,
    run: () => process.kill(process.pid, "SIGKILL"),
  }),
];
