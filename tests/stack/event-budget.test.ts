import { beforeAll, describe, expect, test } from "@jest/globals";
import { workloads } from "../../benchmarks/workloads.ts";
import { isObject, type JsonObject } from "../../contracts/json.ts";
import { recordings, type Recording } from "../recorded-definitions.ts";
import { admin, host, Place, uniqueName } from "./client.ts";
import { FOREIGN_QUEUE } from "./protocol.ts";

/** What a run costs in Temporal's history: workflow tasks are three events each. `docs/benchmarks.md` shows the same table. */
interface Budget {
  /** All events but those of workflow tasks. */
  events: number;
  /** Absent where it depends on what one task takes in: ends that come together, words from outside. */
  tasks?: number;
}

const budgets: Record<string, Budget> = {
  llm: { events: 5, tasks: 2 },
  agent: { events: 14, tasks: 3 },
  message: { events: 10 },
  guardrail: { events: 17 },
  "budget-ask": { events: 21 },
  tool: { events: 5, tasks: 2 },
  "tool-short": { events: 3, tasks: 1 },
  short: { events: 7, tasks: 2 },
  "short-row": { events: 15, tasks: 4 },
  http: { events: 8, tasks: 3 },
  activity: { events: 7, tasks: 2 },
  set: { events: 3, tasks: 1 },
  sequence: { events: 6, tasks: 2 },
  switch: { events: 6, tasks: 2 },
  parallel: { events: 10 },
  "parallel-any": { events: 8, tasks: 2 },
  "parallel-short": { events: 29 },
  foreach: { events: 19 },
  "foreach-short": { events: 5, tasks: 1 },
  "foreach-collect": { events: 4, tasks: 1 },
  loop: { events: 12, tasks: 4 },
  workflow: { events: 7 },
  "workflow-child": { events: 5, tasks: 1 },
  wait: { events: 8, tasks: 2 },
  listen: { events: 8 },
  "listen-timeout": { events: 8, tasks: 2 },
  stream: { events: 17 },
  emit: { events: 3, tasks: 1 },
  "emit-elsewhere": { events: 5, tasks: 2 },
  "emit-to-all": { events: 13 },
  approval: { events: 8 },
  "approval-expired": { events: 8, tasks: 2 },
  "approval-quorum": { events: 11 },
  try: { events: 6, tasks: 2 },
  raise: { events: 3, tasks: 1 },
  end: { events: 3, tasks: 1 },
  "large-values": { events: 9, tasks: 2 },
  park: { events: 11 },
  continue: { events: 8, tasks: 3 },
  pause: { events: 19 },
  cancel: { events: 11 },
  "plan-change": { events: 7 },
  W1: { events: 38, tasks: 13 },
  "W1-short": { events: 3, tasks: 1 },
  "W1-ends": { events: 38, tasks: 13 },
  W2: { events: 154 },
  W3: { events: 13 },
  "W3-ends": { events: 11 },
};

const tool: JsonObject = { type: "tool", tool: "test.double", arguments: { n: 1 } };
const short: JsonObject = { type: "tool", tool: "text.lines", arguments: { text: "a" } };
const W1 = (step: JsonObject): JsonObject[] => workloads.W1.stepsOf(step) as JsonObject[];
const W3: Recording = { steps: workloads.W3.stepsOf(tool) as JsonObject[], during: (run) => run.signal("go") };

/** The recorded runs, and those of the benchmark. */
const runs = (place: { child: string; agent: string }): Record<string, Recording> => ({
  ...recordings({ ...place, foreignQueue: FOREIGN_QUEUE }),
  "tool-short": { steps: [{ id: "t", ...short }] },
  W1: { steps: W1(tool) },
  "W1-short": { steps: W1(short) },
  "W1-ends": { steps: W1(tool), more: { record: "ends" } },
  W2: { steps: workloads.W2.stepsOf(tool) as JsonObject[] },
  W3,
  "W3-ends": { ...W3, more: { record: "ends" } },
});

interface HistoryEvent {
  eventType: string;
  eventTime: string;
  userMetadata?: { summary?: { data: string } };
}

const histories = new Map<string, HistoryEvent[]>();

beforeAll(async () => {
  const child = await admin.publish({ steps: [{ id: "a", type: "set", values: "${input.n + 1}" }] });
  const agent = uniqueName("agent");
  await admin.post("/api/v2/agents", { name: agent, version: "1.0.0", instructions: "Answer.", model: "local/extractive" });
  for (const [name, recording] of Object.entries(runs({ child, agent }))) histories.set(name, await undisturbed(recording));
}, 300_000);

/** What has not ended within 2 s goes on in another way, which costs more: the run of a machine that stood still so long is made again. */
async function undisturbed(recording: Recording, tries = 3): Promise<HistoryEvent[]> {
  const history = await historyOf(recording);
  const times = history.map(({ eventTime }) => Date.parse(eventTime));
  const stoodStill = times.some((time, index) => time - (times[index - 1] ?? time) > 1_500);
  return stoodStill && tries > 1 ? undisturbed(recording, tries - 1) : history;
}

async function historyOf({
  steps,
  input = {},
  more = {},
  during,
  isCallHeld,
  child,
  isOfFirst = false,
}: Recording): Promise<HistoryEvent[]> {
  const place = new Place();
  if (isCallHeld) await place.hold();
  const run = await admin.begin({ ...more, steps }, { url: place.url, ...input });
  // What is done to a run that has come to rest is always done at the same place.
  if (during) await host.settle("default", run.id);
  await during?.(run, admin);
  if (isCallHeld) await place.release();
  await run.end();
  const history = await host.history("default", child === undefined ? run.id : `${run.id}.${child}`, isOfFirst);
  return (history as { events: HistoryEvent[] }).events;
}

test("every recorded run has a budget", () => {
  expect([...histories.keys()].toSorted()).toEqual(Object.keys(budgets).toSorted());
});

test.each(Object.entries(budgets))("%s needs exactly its events", (name, budget) => {
  const types = histories.get(name)!.map(({ eventType }) => eventType);
  const ofTasks = types.filter((type) => type.startsWith("EVENT_TYPE_WORKFLOW_TASK_"));
  const found = { events: types.length - ofTasks.length, ...(budget.tasks === undefined ? {} : { tasks: ofTasks.length / 3 }) };
  expect(found).toEqual(budget);
});

describe("what stands beside an event in the Temporal Web UI", () => {
  const walksOwn = /^(run log: |plan of |run: |output: )/;

  test.each(Object.entries(runs({ child: "", agent: "" })))(
    "%s: every activity, timer and child names its step",
    (name, { steps, child }) => {
      const ids = new Set(child === undefined ? idsOf(steps) : ["a"]);
      const summaries = histories
        .get(name)!
        .filter(({ eventType }) => summarized.has(eventType))
        .map(summaryOf);
      expect(summaries.filter((summary) => !walksOwn.test(summary) && !ids.has(/^\w*/.exec(summary)![0]))).toEqual([]);
    },
  );
});

const summarized = new Set([
  "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED",
  "EVENT_TYPE_TIMER_STARTED",
  "EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED",
  "EVENT_TYPE_MARKER_RECORDED",
]);

const summaryOf = ({ userMetadata }: HistoryEvent): string =>
  userMetadata?.summary ? (JSON.parse(Buffer.from(userMetadata.summary.data, "base64").toString()) as string) : "";

function idsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(idsOf);
  if (!isObject(value)) return [];
  return [...(typeof value["id"] === "string" ? [value["id"]] : []), ...Object.values(value).flatMap(idsOf)];
}
