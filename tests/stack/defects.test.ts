import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { admin, host } from "./client.ts";
import { NOTICES } from "./protocol.ts";

/** The line of a file of TypeScript that a stack trace in the history points to. */
function lineOf(file: string, history: string): string | undefined {
  const [, where, line] = new RegExp(`(/[^":()]*/${file}):(\\d+):\\d+`).exec(history) ?? [];
  return where && readFileSync(where, "utf8").split("\n")[Number(line) - 1];
}

const step = (id: string, more: object) => ({ id, needs: [], export: [], catch: [], onError: "fail", ...more });

test("a run whose workflow code fails again and again is told as needing attention, and other runs go on", async () => {
  // No checker lets such a plan pass: `bad` has nothing to set.
  const steps = [step("w", { type: "wait", duration: { lit: "200ms" } }), step("bad", { type: "set", needs: ["w"] })];
  const id = await host.startPlan({ format: 1, name: "broken", version: "1.0.0", hash: "none", vars: [], catch: [], body: { steps } });
  const run = admin.run(id);
  // Temporal waits longer before each new attempt.
  while ((await run.read()).status !== "needs_attention") {
    await host.reconcile();
    await new Promise((later) => setTimeout(later, 500));
  }
  const told = await run.until("run.needs_attention");
  expect(told.data["for"]).toEqual([{ path: "", for: expect.stringContaining("mended workflow code") }]);
  const notices = async () => (await host.ledgerCalls(NOTICES, 0)).filter(({ body }) => body.includes(id));
  while ((await notices()).length === 0) await new Promise((later) => setTimeout(later, 100));
  expect((await admin.finish({ steps: [{ id: "a", type: "set", values: 1 }] })).output).toBe(1);
  await run.terminate();
  expect(lineOf("workflows/perform.ts", JSON.stringify(await host.history("default", id)))).toContain("walk.value(step.values");
}, 180_000);
