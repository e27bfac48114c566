import { createHash, randomBytes } from "node:crypto";
import type { Client, WorkflowHandle } from "@temporalio/client";
import { queues, workflowIdOf } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { signals, workflowTypes, type ExternalEvent, type RunArguments } from "../contracts/messages.ts";
import { readDefinitionValue } from "../language/index.ts";
import { handWrittenQueue, type Workload } from "./workloads.ts";

export const modeNames = ["hand-written", "tool", "activity"] as const;
export type ModeName = (typeof modeNames)[number];

export const modeTitles: Record<ModeName, string> = {
  "hand-written": "a plain Temporal workflow with a remote activity",
  tool: "our walk, `tool` steps: each activity appends its step to the run's log in Postgres",
  activity: "our walk, `activity` steps on the hand-written side's worker: the walk appends, by local activities",
};

/** One way to do a workload's work. */
export interface Mode {
  name: ModeName;
  start(): Promise<WorkflowHandle>;
  signal(handle: WorkflowHandle): Promise<void>;
}

export function modesOf(workload: Workload, client: Client): Mode[] {
  return [
    handWritten(workload, client),
    walked("tool", { type: "tool", tool: "bench.noop", arguments: {} }, workload, client),
    walked("activity", { type: "activity", activity: "noop", taskQueue: handWrittenQueue, arguments: [{}] }, workload, client),
  ];
}

const handWritten = (workload: Workload, client: Client): Mode => ({
  name: "hand-written",
  start: () => client.workflow.start(workload.name, { workflowId: `bench.${randomId()}`, taskQueue: handWrittenQueue, args: [] }),
  signal: (handle) => handle.signal("go", event()),
});

/** Started as the API does it, without labels for lists, which the other side has not either. */
function walked(name: ModeName, noop: JsonObject, workload: Workload, client: Client): Mode {
  const definition = { name: `bench-${workload.name.toLowerCase()}-${name}`, version: "1.0.0", steps: workload.stepsOf(noop) };
  const plan = planOf(definition);
  return {
    name,
    start() {
      const id = `r_${randomId()}`;
      const run: RunArguments = {
        tenant: "default",
        id,
        plan,
        workflow: definition.name,
        version: definition.version,
        input: {},
        env: {},
        startedBy: "benchmark",
        depth: 0,
      };
      return client.workflow.start(workflowTypes.run, { workflowId: workflowIdOf(run.tenant, id), taskQueue: queues.runs, args: [run] });
    },
    signal: (handle) => handle.signal(signals.deliver, event()),
  };
}

function planOf(definition: JsonObject): Json {
  const read = readDefinitionValue(definition, { hashOf: (text) => createHash("sha256").update(text).digest("hex") });
  if (!read.ok) throw new Error(`A benchmark's definition is refused: ${JSON.stringify(read.problems)}`);
  return read.plan as unknown as Json;
}

const event = (): ExternalEvent => ({ event: "go", data: null, id: randomId(), at: Date.now() });

const randomId = (): string => randomBytes(13).toString("hex");
