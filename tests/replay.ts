// A program: replays every history of tests/histories against today's workflows and prints what became of each, as JSON.
// With --broken it replays copies that ask for another activity first: none of these may pass.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { DefaultLogger, Runtime, Worker } from "@temporalio/worker";
import { bundleWorkflows } from "../workers/bundle.ts";

interface History {
  events: { activityTaskScheduledEventAttributes?: { activityId: string } }[];
}

export interface Replayed {
  file: string;
  error: string | null;
}

const folder = path.join(import.meta.dirname, "histories");
const isBroken = process.argv.includes("--broken");
const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
const histories = files
  .map((file) => ({ file, history: JSON.parse(readFileSync(path.join(folder, file), "utf8")) as History }))
  .filter(({ history }) => !isBroken || breakOne(history));

Runtime.install({ logger: new DefaultLogger("ERROR", () => undefined) });
const results: Replayed[] = [];
const items = histories.map(({ file, history }) => ({ workflowId: file, history }));
for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle: { code: await bundleWorkflows() } }, items))
  results.push({ file: workflowId, error: error ? error.message.split("\n")[0]! : null });
// On a line of its own: the SDK writes its warnings to the same place.
process.stdout.write(`\n${JSON.stringify(results)}`);

/** As if the step had another path. False when the history has no activity to break. */
function breakOne({ events }: History): boolean {
  const scheduled = events.find((event) => event.activityTaskScheduledEventAttributes)?.activityTaskScheduledEventAttributes;
  if (scheduled) scheduled.activityId = "another";
  return scheduled !== undefined;
}
