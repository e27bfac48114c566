import { Worker } from "@temporalio/worker";
import type { Client } from "@temporalio/client";
import { workflowIdOf } from "../contracts/ids.ts";
import { readSettings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { startModelServer } from "../tests/servers/model-server.ts";
import { bundleWorkflows } from "../workers/bundle.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { begin, end, post } from "./over-http.ts";
import { withStack, type Log } from "./test-bed.ts";

const callsPerTurn = 3;
/** Four characters a token: 300 of them make 200,000 tokens. */
const resultBytes = 2_700;

/** An agent that calls tools until its conversation is long: what that leaves in Temporal's history, and whether it can be replayed. */
export async function measureAgent({ log, steps: calls = 300 }: { log: Log; steps: number | undefined }): Promise<Figure[]> {
  const model = await startModelServer();
  let conversation = 0;
  const turns = Math.ceil(calls / callsPerTurn);
  model.answerWith(({ body, recorded }) => {
    conversation = Math.max(conversation, recorded.body.length);
    const turn = body.messages.filter(({ role }) => role === "assistant").length;
    if (turn >= turns) return { text: `Read ${body.messages.filter(({ role }) => role === "tool").length} texts.` };
    const asked = Array.from({ length: callsPerTurn }, (_, n) => ({
      id: `c${turn}-${n}`,
      name: "bench_text",
      arguments: { bytes: resultBytes },
    }));
    return { toolCalls: asked };
  });
  try {
    return await withStack(
      { log, env: { OPENAI_BASE_URL: `${model.url}/v1` } },
      async ({ apiUrl: url, apiKey, temporalAddress, databaseUrl }) => {
        const server = { url, apiKey };
        const client = await connectTemporal(readSettings({ ...process.env, TEMPORAL_ADDRESS: temporalAddress }));
        const step = { id: "work", type: "agent", model: "openai/bench", prompt: "Read.", tools: ["bench.text"], maxTurns: turns + 1 };
        await post(server, "/api/v2/workflows", { name: "bench-agent", version: "1.0.0", steps: [step] });
        const startedAt = performance.now();
        const id = await begin(server, { workflow: "bench-agent" });
        const run = await end(server, id);
        const seconds = (performance.now() - startedAt) / 1_000;
        log(`agent: ${run.status}: ${JSON.stringify(run.output ?? run.error)}`);
        const history = await historyOf(client, workflowIdOf("default", id));
        const [stored] = await queryOnce<{ bytes: string }>(databaseUrl, "SELECT coalesce(sum(bytes), 0) AS bytes FROM blobs", []);
        await client.connection.close();
        return [
          figure(`agent: tool calls of a run that ${run.status === "completed" ? "completed" : `is ${run.status}`}`, {
            value: calls,
            unit: "calls",
          }),
          figure("agent: its last request to the model", { value: conversation / 4 / 1_000, unit: "1,000 tokens", demand: 200 }),
          figure("agent: time", { value: seconds, unit: "s" }),
          figure("agent: history, all executions", { value: history.bytes / 1e6, unit: "MB", demand: 5 }),
          figure("agent: history, all executions", { value: history.events, unit: "events" }),
          figure("agent: executions", { value: history.executions, unit: "executions" }),
          figure("agent: histories that do not replay", { value: history.broken, unit: "histories", demand: 0 }),
          figure("agent: conversation as stored", { value: Number(stored!.bytes) / 1e6, unit: "MB" }),
        ];
      },
    );
  } finally {
    await model.close();
  }
}

/** Over the run's chain. */
async function historyOf(
  client: Client,
  workflowId: string,
): Promise<{ executions: number; events: number; bytes: number; broken: number }> {
  // The list is written after the executions.
  await new Promise((later) => setTimeout(later, 2_000));
  const workflowBundle = { code: await bundleWorkflows() };
  const sums = { executions: 0, events: 0, bytes: 0, broken: 0 };
  for await (const { runId } of client.workflow.list({ query: `WorkflowId = "${workflowId}"` })) {
    const handle = client.workflow.getHandle(workflowId, runId);
    const { historyLength, historySize } = await handle.describe();
    const history = await handle.fetchHistory();
    for await (const { error } of Worker.runReplayHistories({ workflowBundle }, [{ workflowId, history }])) if (error) sums.broken += 1;
    sums.executions += 1;
    sums.events += historyLength;
    sums.bytes += historySize ?? 0;
  }
  return sums;
}
