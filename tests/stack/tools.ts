import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { z } from "zod";
import type { Json } from "../../contracts/json.ts";
import type { Verified } from "../../activities/effects.ts";
import { newerTools } from "./newer-tools.ts";
import { defineTool, Fault } from "../../activities/tool-registry.ts";

/** `fails`: its own word, that nothing was done. `breaks`: what any client may throw after it has sent the order. */
const order = z.strictObject({
  url: z.string(),
  amount: z.number().default(1),
  fails: z.string().optional(),
  breaks: z.string().optional(),
});

type Pay = Parameters<typeof defineTool<typeof order>>[0];

/** One effect at the ledger; held there, it is done and its tool does not know. */
function pay(name: string, more: Partial<Pay>) {
  return defineTool({
    name,
    description: "Pays.",
    input: order,
    effect: "dangerous",
    async run({ url, amount, fails, breaks }, { idempotencyKey, signal }) {
      const headers = { "idempotency-key": idempotencyKey };
      const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ amount }), signal });
      if (fails !== undefined) throw new Fault("tool", fails);
      if (breaks !== undefined) throw new Error(breaks);
      return answer.json();
    },
    ...more,
  });
}

async function asksOutside({ url }: { url: string }, { idempotencyKey }: { idempotencyKey: string }): Promise<Verified> {
  const answer = await fetch(`${url}/seen`, { headers: { "idempotency-key": idempotencyKey } });
  const { seen } = (await answer.json()) as { seen: Json };
  return seen === null ? { outcome: "not_done" } : { outcome: "done", result: seen };
}

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
    name: "test.patient",
    description: "Takes its time.",
    input: z.strictObject({ ms: z.int() }),
    effect: "read",
    timeout: "20s",
    async run({ ms }) {
      await new Promise((later) => setTimeout(later, ms));
      return "done";
    },
  }),
  defineTool({
    name: "test.list",
    description: "Numbered items, each with padding.",
    input: z.strictObject({ count: z.int(), bytes: z.int().default(0) }),
    effect: "read",
    run: ({ count, bytes }) => Array.from({ length: count }, (_, n) => ({ n, pad: "x".repeat(bytes) })),
  }),
  defineTool({
    name: "test.judge",
    description: "Lets pass what does not hold a word; puts another in its place.",
    input: z.looseObject({ word: z.string(), value: z.unknown() }),
    effect: "read",
    run({ word, value }) {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return text.includes(word) ? { passes: false, why: `It says ${word}.`, fixed: text.replaceAll(word, "…") } : { passes: true };
    },
  }),
  defineTool({
    name: "test.leaks",
    description: "Says what it should not: in an error, in a log, in its result.",
    input: z.strictObject({ how: z.enum(["error", "result"]) }),
    effect: "read",
    run({ how }) {
      const { CRM_TOKEN: token = "", CRM_PASSWORD: password = "" } = process.env;
      console.error(`connecting with ${token} and ${password}`);
      if (how === "error") throw new Error(`401 for ${token}`, { cause: new Error(`token=${encodeURIComponent(token)}`) });
      const basic = Buffer.from(password).toString("base64");
      return { password, basic, url: `https://crm.example.com/?p=${encodeURIComponent(password)}` };
    },
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
    input: z.strictObject({ ms: z.int().default(0), failures: z.int().default(0), said: z.string().default("") }),
    effect: "read",
    short: true,
    async run({ ms, failures, said }, { idempotencyKey }) {
      const call = (calls.get(idempotencyKey) ?? 0) + 1;
      calls.set(idempotencyKey, call);
      await new Promise((later) => setTimeout(later, ms));
      if (call <= failures) throw new Error("not yet");
      return { word: randomUUID(), call, said };
    },
  }),
  ...["1.0.0", "1.2.0", "2.0.0", ...(existsSync(newerTools(process.env["TENUTO_HTTP_ALLOW"]!.split(",")[0]!)) ? ["1.9.0"] : [])].map(
    (version) =>
      defineTool({
        name: "test.versioned",
        version,
        description: "Says its version.",
        input: z.strictObject({}),
        effect: "read",
        run: () => version,
      }),
  ),
  pay("test.pay", {}),
  pay("test.payByKey", { idempotent: true }),
  pay("test.payAsked", { verify: asksOutside }),
  pay("test.payForgetful", { verify: () => ({ outcome: "unknown" }) }),
];

const calls = new Map<string, number>();
