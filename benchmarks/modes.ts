import { createHash, randomBytes } from "node:crypto";
import type { Client, WorkflowHandle } from "@temporalio/client";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { queues, workflowIdOf } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { signals, workflowTypes, type ExternalEvent, type RunArguments } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import { readDefinitionValue } from "../language/index.ts";
import { handWrittenQueue, type Workload } from "./workloads.ts";

/** Whose worker process takes part in a mode. */
export type Side = "hand-written" | "ours";

interface ModeKind {
  title: string;
  workers: Side[];
  /** The no-op step of the definition; absent: the workflow in hand-written.ts. */
  noop?: JsonObject;
  /** Fields of the definition's envelope. */
  envelope?: JsonObject;
}

/** All ways to do the same work. A new one is an entry here; tables and figures take their columns from it. */
const kinds = {
  "hand-written": { title: "a plain Temporal workflow with a remote activity", workers: ["hand-written"] },
  tool: {
    title: "our walk, `tool` steps: each activity appends its step to the run's log in Postgres",
    workers: ["ours"],
    noop: { type: "tool", tool: "bench.noop", arguments: {} },
  },
  ends: {
    title: "the same with `record: ends`: the log has the run's start and end, nothing of its steps",
    workers: ["ours"],
    noop: { type: "tool", tool: "bench.noop", arguments: {} },
    envelope: { record: "ends" },
  },
  short: {
    title: "our walk, short `tool` steps: beside the walk, each recorded",
    workers: ["ours"],
    noop: { type: "tool", tool: "bench.noop", arguments: {}, short: true },
  },
  "short-ends": {
    title: "short `tool` steps with `record: ends`: their results are in Temporal's history only",
    workers: ["ours"],
    noop: { type: "tool", tool: "bench.noop", arguments: {}, short: true },
    envelope: { record: "ends" },
  },
  activity: {
    title: "our walk, `activity` steps on the hand-written side's worker: the walk appends, by local activities",
    workers: ["ours", "hand-written"],
    noop: { type: "activity", activity: "noop", taskQueue: handWrittenQueue, arguments: [{}] },
  },
} satisfies Record<string, ModeKind>;

export type ModeName = keyof typeof kinds;
export const modeNames = Object.keys(kinds) as ModeName[];
export const ourModes = modeNames.filter((name) => name !== "hand-written");

/** One way to do a workload's work. */
export interface Mode {
  name: ModeName;
  title: string;
  workers: Side[];
  start: () => Promise<WorkflowHandle>;
  signal: (handle: WorkflowHandle) => Promise<void>;
}

export const modesOf = (workload: Workload, client: Client): Mode[] =>
  modeNames.map((name) => {
    const kind: ModeKind = kinds[name];
    const { title, workers } = kind;
    const { start, signal } = kind.noop ? walked(definitionOf(name, workload), client) : handWritten(workload, client);
    return { name, title, workers, start, signal };
  });

/** The workload as people would write it for us. */
export function definitionOf(name: ModeName, workload: Pick<Workload, "name" | "stepsOf">): JsonObject & { name: string; version: string } {
  const { noop, envelope }: ModeKind = kinds[name];
  if (!noop) throw new Error(`Mode ${name} has no definition.`);
  return { name: `bench-${workload.name.toLowerCase()}-${name}`, version: "1.0.0", ...envelope, steps: workload.stepsOf(noop) };
}

export const modeTitle = (name: ModeName): string => kinds[name].title;

const handWritten = (workload: Workload, client: Client): Pick<Mode, "start" | "signal"> => ({
  start: () => client.workflow.start(workload.name, { workflowId: `bench.${randomId()}`, taskQueue: handWrittenQueue, args: [] }),
  signal: (handle) => handle.signal("go", event()),
});

/** Started as the API does it, without the labels for lists that the run would not set itself: the other side has none either. */
export function walked(definition: JsonObject & { name: string; version: string }, client: Client): Pick<Mode, "start" | "signal"> {
  const plan = planOf(definition);
  const typedSearchAttributes = [{ key: searchAttributes.version, value: definition.version }];
  return {
    start() {
      const id = `r_${randomId()}`;
      const run: RunArguments = {
        tenant: "default",
        id,
        engine: ENGINE_VERSION,
        plan,
        workflow: definition.name,
        version: definition.version,
        input: {},
        env: {},
        startedBy: "benchmark",
        depth: 0,
      };
      return client.workflow.start(workflowTypes.run, {
        workflowId: workflowIdOf(run.tenant, id),
        taskQueue: queues.runs,
        args: [run],
        typedSearchAttributes,
      });
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
