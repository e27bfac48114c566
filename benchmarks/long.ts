import type { Client } from "@temporalio/client";
import { ask, Refused, type RunAnswer, type Server } from "../cli/api-client.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { JsonObject } from "../contracts/json.ts";
import { readSettings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { withStack, type Log } from "./test-bed.ts";

const noop = { id: "work", type: "tool", tool: "bench.noop", arguments: {} };
const limitMs = 45 * 60_000;

const definitionsOf = (steps: number): Record<string, { steps: number; definition: JsonObject[] }> => ({
  chain: {
    steps,
    definition: [{ id: "again", type: "loop", maxIterations: steps, onLimit: "end", while: "${true}", keepLast: 1, steps: [noop] }],
  },
  foreach: {
    steps: steps / 2,
    definition: [{ id: "all", type: "foreach", items: `\${range(${steps / 2})}`, concurrency: 50, steps: [noop] }],
  },
});

/** Runs that are too long for one history: whether they come to their end, and how large the largest history gets. */
export const measureLong = ({ log, steps = 10_000 }: { log: Log; steps: number | undefined }): Promise<Figure[]> =>
  withStack({ log }, async ({ apiUrl: url, apiKey, temporalAddress, databaseUrl }) => {
    const server = { url, apiKey };
    const client = await connectTemporal(readSettings({ ...process.env, TEMPORAL_ADDRESS: temporalAddress }));
    const figures: Figure[] = [];
    for (const [name, { steps: wanted, definition }] of Object.entries(definitionsOf(steps))) {
      const startedAt = performance.now();
      const run = await runToEnd(server, { name: `bench-long-${name}`, definition, log });
      const seconds = (performance.now() - startedAt) / 1_000;
      log(`long: ${name} is ${run.status}${run.error ? `: ${run.error.detail}` : ""}`);
      const largest = await largestHistory(client, workflowIdOf("default", run.id));
      figures.push(
        figure(`long.${name}: steps of a run that ${run.status === "completed" ? "completed" : `is ${run.status}`}`, {
          value: await stepsDone(databaseUrl, run.id),
          unit: "steps",
          demand: wanted,
        }),
        figure(`long.${name}: time`, { value: seconds, unit: "s" }),
        figure(`long.${name}: executions`, { value: largest.executions, unit: "executions" }),
        figure(`long.${name}: largest history`, { value: largest.events, unit: "events", demand: 10_240 }),
        figure(`long.${name}: largest history, size`, { value: largest.bytes / 1e6, unit: "MB", demand: 10 }),
      );
    }
    await client.connection.close();
    return figures;
  });

async function runToEnd(
  server: Server,
  { name, definition, log }: { name: string; definition: JsonObject[]; log: Log },
): Promise<RunAnswer> {
  const body = JSON.stringify({ name, version: "1.0.0", steps: definition, output: null });
  await ask(server, "/api/v2/workflows", { method: "POST", body }).catch((error: unknown) => {
    throw error instanceof Refused ? new Error(JSON.stringify(error.problem), { cause: error }) : error;
  });
  const { id } = await ask<RunAnswer>(server, "/api/v2/runs", { method: "POST", body: JSON.stringify({ workflow: name }) });
  const patience = Date.now() + limitMs;
  for (let minute = 0; ; minute++) {
    const run = await ask<RunAnswer>(server, `/api/v2/runs/${id}?wait=60`);
    if (!["running", "waiting", "queued"].includes(run.status) || Date.now() > patience) return run;
    log(`long: ${name} is ${run.status}, minute ${minute + 1}`);
  }
}

/** Over the run's chain, the children it started, and theirs. */
async function largestHistory(client: Client, workflowId: string): Promise<{ executions: number; events: number; bytes: number }> {
  // The list is written after the executions.
  await new Promise((later) => setTimeout(later, 2_000));
  let [executions, events, bytes] = [0, 0, 0];
  for await (const found of client.workflow.list({ query: `WorkflowId = "${workflowId}" OR RootWorkflowId = "${workflowId}"` })) {
    const { historyLength, historySize } = await client.workflow.getHandle(found.workflowId, found.runId).describe();
    executions += 1;
    events = Math.max(events, historyLength);
    bytes = Math.max(bytes, historySize ?? 0);
  }
  return { executions, events, bytes };
}

const stepsDone = async (databaseUrl: string, run: string): Promise<number> => {
  const rows = await queryOnce<{ count: string }>(
    databaseUrl,
    `SELECT count(*) FROM steps WHERE type = 'tool' AND status = 'completed' AND (run_id = $1 OR run_id LIKE $1 || '.%')`,
    [run],
  );
  return Number(rows[0]!.count);
};
