// A program: replays every history of tests/histories, of all engines, against today's workflows, and prints as JSON what became
// of each. `broken` are copies that ask for another activity first, `newer` copies of runs that an engine after today's has
// started: none of these may pass.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { DefaultLogger, Runtime, Worker } from "@temporalio/worker";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import type { RunArguments } from "../contracts/messages.ts";
import { bundleWorkflows } from "../workers/bundle.ts";

interface History {
  events: {
    workflowExecutionStartedEventAttributes?: { workflowType: { name: string }; input: { payloads: { data: string }[] } };
    activityTaskScheduledEventAttributes?: { activityId: string };
  }[];
}

export interface Replayed {
  file: string;
  error: string | null;
}

/** What became of every history, as it is and in copies that are changed. */
export type Replays = Record<"today" | "broken" | "newer", Replayed[]>;

const folder = path.join(import.meta.dirname, "histories");
const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".json"));
const workflowBundle = { code: await bundleWorkflows() };

Runtime.install({ logger: new DefaultLogger("ERROR", () => undefined) });
const replays: Replays = { today: await replay(() => true), broken: await replay(breakOne), newer: await replay(makeNewer) };
// On a line of its own: the SDK writes its warnings to the same place.
process.stdout.write(`\n${JSON.stringify(replays)}`);

/** Of the histories that `change` can change. */
async function replay(change: (history: History) => boolean): Promise<Replayed[]> {
  const read = (file: string): History => JSON.parse(readFileSync(path.join(folder, file), "utf8")) as History;
  const items = files.map((file) => ({ workflowId: file, history: read(file) })).filter(({ history }) => change(history));
  const results: Replayed[] = [];
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, items))
    results.push({ file: workflowId, error: error ? error.message.split("\n")[0]! : null });
  return results;
}

/** As if the step had another path. False when the history has no activity to break. */
function breakOne({ events }: History): boolean {
  const scheduled = events.find((event) => event.activityTaskScheduledEventAttributes)?.activityTaskScheduledEventAttributes;
  if (scheduled) scheduled.activityId = "another";
  return scheduled !== undefined;
}

/** False for what is no run. */
function makeNewer({ events }: History): boolean {
  const { workflowType, input } = events[0]!.workflowExecutionStartedEventAttributes!;
  if (workflowType.name !== "run") return false;
  const [first] = input.payloads;
  const args = JSON.parse(Buffer.from(first!.data, "base64").toString()) as RunArguments;
  first!.data = Buffer.from(JSON.stringify({ ...args, engine: ENGINE_VERSION + 1 })).toString("base64");
  return true;
}
