import type { WorkflowExecutionDescription } from "@temporalio/client";
import type { RunLinks } from "../contracts/api.schema.ts";
import type { RunStatus } from "../contracts/events.ts";
import { isTerminal } from "../contracts/events.ts";
import { Fault } from "../contracts/faults.ts";
import { RUN_ID_PATTERN, workflowIdOf } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { Prisma } from "../prisma/client.ts";
import { temporalLink } from "../temporal-config/ui.ts";
import type { Deps } from "./deps.ts";
import type { Call } from "./route.ts";
import { describeRun, firstRunId, memoText } from "./temporal.ts";

type Row = Prisma.RunGetPayload<object>;

/** A run as recorded, or, before its first record, as Temporal knows it. */
export type SeenRun = Omit<Row, "isWindow" | "planHash" | "tenant" | "effectRoot" | "ending" | "endingAt">;

/** Fault `not_found` for an unknown run and for another tenant's alike. */
export async function seeRun({ deps, caller }: Call, id: string): Promise<SeenRun> {
  const run = await findRun(deps, caller.tenant, id);
  if (!run) throw new Fault("not_found", `No run ${id}.`);
  return run;
}

/** The run whose effect keys this one has: of a retry the first that was tried. */
export const rootOf = ({ id, effectRoot }: Pick<Row, "id" | "effectRoot">): string => effectRoot ?? id;

export const hasEnded = (run: { status: string }): boolean => isTerminal(run.status);

export const linksOf = (settings: Deps["settings"], run: { tenant: string; id: string; temporalRunId: string }): RunLinks => ({
  self: `/api/v2/runs/${run.id}`,
  events: `/api/v2/runs/${run.id}/events`,
  temporal: temporalLink(settings, workflowIdOf(run.tenant, run.id), run.temporalRunId),
});

export const summaryOf = ({ deps, caller }: Call, run: Pick<Row, "id" | "status" | "temporalRunId">): JsonObject => ({
  id: run.id,
  status: run.status,
  links: { ...linksOf(deps.settings, { ...run, tenant: caller.tenant }) },
});

export const rowOf = (
  call: Call,
  run: Omit<SeenRun, "input" | "output" | "error" | "passedErrors" | "waitingFor" | "holds" | "lastSeq">,
): JsonObject => ({
  ...summaryOf(call, run),
  workflow: run.workflow,
  version: run.version,
  parentId: run.parentId,
  retryOf: run.retryOf,
  forkOf: run.forkOf,
  startedBy: run.startedBy,
  startedAt: run.startedAt.toISOString(),
  endedAt: run.endedAt?.toISOString() ?? null,
});

/** As recorded, else as Temporal knows it; undefined where neither does. */
export async function findRun({ database, temporal }: Deps, tenant: string, id: string): Promise<SeenRun | undefined> {
  if (!runIdPattern.test(id)) return undefined;
  const row = await database.run.findFirst({ where: { id, tenant } });
  if (row) return row;
  const description = await describeRun({ temporal, tenant, run: id });
  if (!description) return undefined;
  // It may have ended between the two questions: a run that has ended by itself has a row.
  const recorded = description.closeTime ? await database.run.findFirst({ where: { id, tenant } }) : undefined;
  return recorded ?? fromTemporal(id, description);
}

function fromTemporal(id: string, description: WorkflowExecutionDescription): SeenRun {
  const attribute = (key: { name: string; type: "KEYWORD" }): string | undefined => description.typedSearchAttributes.get(key);
  return {
    id,
    workflow: attribute(searchAttributes.workflow) ?? "",
    version: attribute(searchAttributes.version) ?? "",
    status: statusOf(description.status.name, attribute(searchAttributes.status)),
    parentId: attribute(searchAttributes.parent) ?? null,
    retryOf: memoText(description, "retryOf") ?? null,
    forkOf: memoText(description, "forkOf") ?? null,
    temporalRunId: firstRunId(description),
    startedBy: memoText(description, "startedBy") ?? "",
    startedAt: description.startTime,
    endedAt: description.closeTime ?? null,
    input: null,
    output: null,
    error: null,
    passedErrors: null,
    waitingFor: null,
    holds: null,
    lastSeq: 0,
  };
}

const closed: Record<string, RunStatus> = { FAILED: "failed", CANCELLED: "canceled", TERMINATED: "terminated", TIMED_OUT: "timed_out" };

// The workflow's own word is finer: Temporal calls everything that returned "completed".
function statusOf(temporalStatus: string, own: string | undefined): RunStatus {
  if (temporalStatus === "COMPLETED") return own !== undefined && isTerminal(own) ? own : "completed";
  return closed[temporalStatus] ?? (own === "paused" ? own : "running");
}

const runIdPattern = new RegExp(RUN_ID_PATTERN);

export const jsonOf = (value: unknown): Json => (value ?? null) as Json;
