import { Fault } from "./faults.ts";

/** A run's public id: `r_` and 26 characters for a run started over HTTP; a child run adds its step path. */
export type RunId = string;

export const TENANT_PATTERN = "^[a-z0-9][a-z0-9-]{0,31}$";
export const RUN_ID_PATTERN = "^r_[0-9a-z]{26}(\\.[A-Za-z0-9_.-]+)?$";
export const STEP_ID_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$";

const workflowIdPattern = /^run\.([a-z0-9][a-z0-9-]{0,31})\.(r_.+)$/;

/** Task queues of our own workers. */
export const queues = { runs: "tenuto" } as const;

/** Temporal Schedules of our own. */
export const scheduleIds = { reconcile: "tenuto-reconcile" } as const;

/** The Temporal workflow id of a run. Only `[A-Za-z0-9._-]`, which every link and visibility query survives. */
export const workflowIdOf = (tenant: string, run: RunId): string => `run.${tenant}.${run}`;

export function parseWorkflowId(workflowId: string): { tenant: string; run: RunId } | undefined {
  const match = workflowIdPattern.exec(workflowId);
  return match ? { tenant: match[1]!, run: match[2]! } : undefined;
}

/** The id of the run a `workflow` step starts: readable in every list, equal in every replay and retry. */
export function childRunId(parent: RunId, path: string, uuid: () => string): RunId {
  const id = `${parent}.${slugOf(path)}`;
  // Temporal on SQL stores ids up to 255 characters; a deep path gives way to a random tail.
  return id.length <= 200 ? id : `${parent.slice(0, 28)}.x-${uuid()}`;
}

/** The key all outbound calls of a step carry, equal for all its attempts. */
export const effectKey = (run: RunId, path: string): string => `${run}:${path}`;

export const approvalIdOf = (run: RunId, path: string): string => `${run}~${slugOf(path)}`;

export function parseApprovalId(id: string): { run: RunId; path: string } {
  const cut = id.lastIndexOf("~");
  if (cut < 1) throw new Fault("not_found", `No approval ${id}.`);
  return { run: id.slice(0, cut), path: id.slice(cut + 1).replace(/-(\d+)/g, "[$1]") };
}

// Brackets break links; step ids hold no "-", so that the way back is exact.
const slugOf = (path: string): string => path.replace(/\[(\d+)\]/g, "-$1");
