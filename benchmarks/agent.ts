import { randomBytes } from "node:crypto";
import { Worker } from "@temporalio/worker";
import type { Client } from "@temporalio/client";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { queues, workflowIdOf } from "../contracts/ids.ts";
import { workflowTypes, type RunArguments } from "../contracts/messages.ts";
import { readSettings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { startModelServer, type ModelServer } from "../tests/servers/model-server.ts";
import type { ModelReply, ModelRequestBody } from "../tests/servers/model-reply.ts";
import { ask, Refused, type RunAnswer, type Server } from "../cli/api-client.ts";
import { bundleWorkflows } from "../workers/bundle.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { begin, end, post } from "./over-http.ts";
import { withStack, type Log } from "./test-bed.ts";

const callsPerTurn = 3;
/** Four characters a token: 300 of them make 200,000 tokens. */
const resultBytes = 2_700;
/** Less than a turn has, more or less: executions end in the midst of turns. */
const eventsPerExecution = 20;

const workflow = (kind: string): string => `bench-agent-${kind}`;

/**
 * An agent that calls tools until its conversation is long: as a whole, the same in executions that end in the midst of its turns, and shortened
 * as any agent is. What that leaves in Temporal's history, whether it can be replayed, and whether the answer is the same.
 */
export async function measureAgent({ log, steps: calls = 300 }: { log: Log; steps: number | undefined }): Promise<Figure[]> {
  const model = await startModelServer();
  const reader = new Reader(model, calls);
  try {
    return await withStack({ log, env: { OPENAI_BASE_URL: `${model.url}/v1` } }, async (stack) => {
      const { apiUrl: url, apiKey, temporalAddress, databaseUrl } = stack;
      const client = await connectTemporal(readSettings({ ...process.env, TEMPORAL_ADDRESS: temporalAddress }));
      const bench = { server: { url, apiKey }, client, databaseUrl, reader, log };
      await publish(bench, "whole", { contextTokens: 2_000_000 });
      await publish(bench, "shortened", {});
      const whole = await measure(bench, "whole", () => begin(bench.server, { workflow: workflow("whole") }));
      const parts = await measure(bench, "in parts", () => beginContinuing(bench, workflow("whole")));
      const shortened = await measure(bench, "shortened", () => begin(bench.server, { workflow: workflow("shortened") }));
      await client.connection.close();
      return [
        figure("agent: tool calls", { value: calls, unit: "calls" }),
        ...whole.figures({ tokens: 200, megabytes: 5 }),
        // Each execution begins with what the one before it had in hand: so many of them are no run's.
        ...parts.figures({ tokens: 200 }),
        ...shortened.figures({ megabytes: 5 }),
        figure("agent: answers that differ from that of the whole", {
          value: [parts, shortened].filter(({ output }) => output !== whole.output).length,
          unit: "answers",
          demand: 0,
        }),
        figure("agent, shortened: tokens sent, of those that the whole has sent", {
          value: (shortened.sent / whole.sent) * 100,
          unit: "%",
          demand: 100,
        }),
      ];
    });
  } finally {
    await model.close();
  }
}

/** A model that reads texts and counts them, by what it is sent alone. */
class Reader {
  readonly #calls: number;
  /** Characters, of all requests and of the largest. */
  sent = 0;
  longest = 0;

  constructor(model: ModelServer, calls: number) {
    this.#calls = calls;
    model.answerWith(({ body, recorded }) => {
      this.sent += recorded.body.length;
      this.longest = Math.max(this.longest, recorded.body.length);
      return this.#answer(body);
    });
  }

  forget(): void {
    this.sent = this.longest = 0;
  }

  #answer({ messages }: ModelRequestBody): ModelReply {
    const texts = messages.map(({ content }) => content ?? "");
    const wanted = texts.at(-1)!;
    // A summary is asked for of a text about the conversation.
    if (wanted.startsWith('<data kind="conversation">'))
      return { text: `${readIn(wanted) + wanted.split("Result of c").length - 1} texts read.` };
    const read = readIn(texts.join("\n")) + messages.filter(({ role }) => role === "tool").length;
    if (read >= this.#calls) return { text: `Read ${read} texts.` };
    const asked = Array.from({ length: Math.min(callsPerTurn, this.#calls - read) }, (_, n) => ({
      id: `c${read + n}`,
      name: "bench_text",
      arguments: { bytes: resultBytes },
    }));
    return { toolCalls: asked };
  }
}

/** What a summary says of those before it. */
const readIn = (text: string): number => Number(/(\d+) texts read\./.exec(text)?.[1] ?? 0);

interface Bench {
  server: Server;
  client: Client;
  databaseUrl: string;
  reader: Reader;
  log: Log;
}

async function publish({ server }: Bench, kind: string, more: object): Promise<void> {
  const step = { id: "work", type: "agent", model: "openai/bench", prompt: "Read.", tools: ["bench.text"], maxTurns: 1_000, ...more };
  await post(server, "/api/v2/workflows", { name: workflow(kind), version: "1.0.0", steps: [step] });
}

/** No route of the API starts a run that goes on so often. */
async function beginContinuing({ server, client }: Bench, name: string): Promise<string> {
  const id = `r_${randomBytes(13).toString("hex")}`;
  const about = { tenant: "default", id, engine: ENGINE_VERSION, env: {}, startedBy: "bench", depth: 0 };
  const args: RunArguments = { ...about, workflow: name, input: {}, continueAfterEvents: eventsPerExecution };
  await client.workflow.start(workflowTypes.run, { workflowId: workflowIdOf("default", id), taskQueue: queues.runs, args: [args] });
  // The API knows it from its first event on.
  for (;;) {
    const known = await ask(server, `/api/v2/runs/${id}`).catch((error: unknown) => error);
    if (!(known instanceof Refused) || known.problem.code !== "not_found") return id;
    await new Promise((again) => setTimeout(again, 50));
  }
}

interface Measured {
  output: RunAnswer["output"];
  /** Characters. */
  sent: number;
  /** `tokens`: how long its longest request must be, in thousands; `megabytes`: of its history at most. */
  figures(demand: { tokens?: number; megabytes?: number }): Figure[];
}

async function measure({ server, client, databaseUrl, reader, log }: Bench, kind: string, start: () => Promise<string>): Promise<Measured> {
  reader.forget();
  const before = await storedBytes(databaseUrl);
  const startedAt = performance.now();
  const id = await start();
  const run = await end(server, id);
  const seconds = (performance.now() - startedAt) / 1_000;
  log(`agent, ${kind}: ${run.status}: ${JSON.stringify(run.output ?? run.error)}`);
  const { sent, longest } = reader;
  const stored = (await storedBytes(databaseUrl)) - before;
  const history = await historyOf(client, workflowIdOf("default", id));
  const of = (what: string, value: number, unit: string, demand?: number): Figure =>
    figure(`agent, ${kind}: ${what}`, { value, unit, ...(demand === undefined ? {} : { demand }) });
  return {
    output: run.output,
    sent,
    figures: ({ tokens, megabytes }) => [
      of("runs that have not completed", run.status === "completed" ? 0 : 1, "runs", 0),
      of("its longest request to the model", longest / 4 / 1_000, "1,000 tokens", tokens),
      of("time", seconds, "s"),
      of("history, all executions", history.bytes / 1e6, "MB", megabytes),
      of("history, all executions", history.events, "events"),
      of("executions", history.executions, "executions"),
      of("histories that do not replay", history.broken, "histories", 0),
      of("conversation as stored", stored / 1e6, "MB"),
    ],
  };
}

const storedBytes = async (databaseUrl: string): Promise<number> =>
  Number((await queryOnce<{ bytes: string }>(databaseUrl, "SELECT coalesce(sum(bytes), 0) AS bytes FROM blobs", []))[0]!.bytes);

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
