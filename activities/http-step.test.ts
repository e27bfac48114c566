import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { startLedgerServer, type LedgerServer } from "../tests/servers/ledger-server.ts";
import type { Reply } from "../tests/servers/scripted-server.ts";
import { testContext } from "../tests/work-context.ts";
import { Budgets } from "./budgets.ts";
import { createHttp } from "./http.ts";
import { createHttpStep } from "./http-step.ts";
import { noSecrets } from "./redact.ts";
import type { StepContext } from "./step.ts";

/** It knows of no budget. */
const none = { budget: { findMany: async () => [] } } as never;

let ledger: LedgerServer;
beforeEach(async () => void (ledger = await startLedgerServer()));
afterEach(() => ledger.close());

/** The problem of the last of some attempts. */
async function lastOf(replies: Reply[], url = `${ledger.url}/x`, timeoutMs = 5_000): Promise<Problem> {
  ledger.script("/x", ...replies);
  const step = createHttpStep({
    database: none,
    http: createHttp({ allow: ["127.0.0.1"] }),
    redact: noSecrets,
    budgets: new Budgets(none),
  });
  let left: Json | undefined;
  let last: Problem | undefined;
  for (const round of replies.keys()) {
    // Only what an attempt of the step is told.
    const context = { ...testContext({ timeoutMs }), temporalAttempt: round + 1, left, leave: (value) => (left = value) } as StepContext;
    const error: unknown = await step({ method: "POST", url: [url], headers: {}, query: {} }, {}, context).catch(
      (thrown: unknown) => thrown,
    );
    last = (error as { problem: Problem }).problem;
  }
  return last!;
}

test.each<[string, Reply[]]>([
  ["502", [{ status: 502 }]],
  ["a gateway's 408", [{ status: 408 }]],
  ["a connection that is cut", [{ cut: "before" }]],
  ["a body that is cut", [{ cut: "middle", body: "x".repeat(1_000) }]],
  ["JSON that is none", [{ headers: { "content-type": "application/json" }, body: "{" }]],
  ["a reserved key", [{ body: '{"a":{"$tenutoRef":"00"}}' }]],
  ["a result to be read elsewhere that is not there", [{ status: 303, headers: { location: "/y" } }]],
  ["a refusal after a 502", [{ status: 502 }, { status: 409 }]],
  ["refusals after a cut", [{ cut: "before" }, { status: 429 }, { status: 429 }]],
])("after %s it may have happened", async (_, replies) => {
  ledger.script("/y", { status: 404 });
  expect(await lastOf(replies)).toMatchObject({ mayHaveHappened: true });
});

test("after a timeout it may have happened, whatever comes then", async () => {
  expect(await lastOf([{ delayMs: 5_000 }, { status: 400 }], undefined, 1_000)).toMatchObject({ status: 400, mayHaveHappened: true });
});

test.each<[string, Reply[]]>([
  ["400", [{ status: 400 }]],
  ["429 time and again", [{ status: 429 }, { status: 429 }, { status: 429 }]],
  ["409 after 425", [{ status: 425 }, { status: 409 }]],
])("after %s it has not happened", async (_, replies) => {
  expect(await lastOf(replies)).not.toHaveProperty("mayHaveHappened");
});

test("where nobody listens it has not happened", async () => {
  const gone = await startLedgerServer();
  await gone.close();
  expect(await lastOf([{}, {}], gone.url)).not.toHaveProperty("mayHaveHappened");
});
