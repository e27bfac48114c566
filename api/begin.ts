import { randomBytes } from "node:crypto";
import { WorkflowExecutionAlreadyStartedError } from "@temporalio/client";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import type { RunStatus } from "../contracts/events.ts";
import { queues, workflowIdOf } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes, type RunArguments } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import { validateValue } from "../language/index.ts";
import type { Plan } from "../language/plan.ts";
import { keep } from "../prisma/blobs.ts";
import { platformHolds } from "../prisma/pauses.ts";
import { Plans } from "../prisma/plans.ts";
import { refuseWhenFull } from "./concurrency.ts";
import type { Deps } from "./deps.ts";
import { hashOf } from "../prisma/hash.ts";
import { faultOf } from "./problem.ts";

/** A start, whoever asks for it. */
interface Start {
  tenant: string;
  id: string;
  /** Of the request: kept in the run's memo, so that the same id asked for with another request is noticed. */
  requestHash: string;
  /** Of the Idempotency-Key, where it does not make the id: a repetition is known by it. */
  keyHash?: string | undefined;
  startedBy: string;
  /** 1 (first) to 5. */
  priority?: number | undefined;
  fairnessKey?: string | undefined;
}

/** What a start answers with. */
export interface Begun {
  /** Temporal's id of the run's first execution. */
  temporalRunId: string;
  status: RunStatus;
}

/** What shall run, by its name. */
export interface Order extends Start {
  workflow: string;
  version?: string | undefined;
  input: Json;
}

/** A run that only has to be started. */
export interface Prepared extends Pick<RunArguments, "input" | "origin" | "effectRoot" | "budgetRoot"> {
  plan: Plan;
}

/**
 * Start a run: one write, to Temporal. What is paused at this moment begins paused.
 *
 * Faults: not_found, input_invalid, reserved_key, concurrency. Throws WorkflowExecutionAlreadyStartedError when the id was started before.
 */
export async function begin(deps: Deps, order: Order): Promise<Begun> {
  const { tenant, workflow, version, input } = order;
  const plan = await plansOf(deps).load(tenant, workflow, version);
  checkInput(plan, input);
  await refuseWhenFull(deps, order, plan);
  return beginPrepared(deps, order, { plan, input: await keep(deps.database, tenant, input) });
}

/** Fault `input_invalid` with the place of each mismatch. */
export function checkInput(plan: Plan, input: Json): void {
  const mismatches = plan.input === undefined ? [] : validateValue(plan.input, input);
  if (mismatches.length > 0) throw faultOf("input_invalid", "The input does not fit the workflow's schema.", mismatches.map(inInput));
}

/** As `begin`, for who has a right to one run under this id, however often it is asked for: false when it was there before. */
export async function beginOnce(deps: Deps, order: Omit<Order, "requestHash">): Promise<boolean> {
  try {
    await begin(deps, { ...order, requestHash: hashOf([order.workflow, order.input]) });
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}

/** As `begin`, with everything that is to be known before. */
export async function beginPrepared(deps: Deps, start: Start, { plan, input, ...from }: Prepared): Promise<Begun> {
  const { tenant, id, requestHash, keyHash, startedBy, priority, fairnessKey } = start;
  const [holds] = await Promise.all([platformHolds(deps.database, tenant, plan.name), refuseRecorded(deps, start)]);
  const status = holds.holds.length > 0 ? "paused" : "running";
  const run: RunArguments = {
    tenant,
    id,
    engine: ENGINE_VERSION,
    workflow: plan.name,
    version: plan.version,
    input,
    env: deps.settings.expressionEnv,
    startedBy,
    depth: 0,
    ...from,
    ...(status === "paused" ? { holds: [holds] } : {}),
    // Last: the Temporal Web UI shows the arguments in this order, and people look for the others.
    plan: plan as unknown as Json,
  };
  const lineage = from.origin ? { [`${from.origin.kind}Of`]: from.origin.run } : {};
  const handle = await deps.temporal.withDeadline(Date.now() + limits.updateDeadlineMs, () =>
    deps.temporal.workflow.start(workflowTypes.run, {
      workflowId: workflowIdOf(tenant, id),
      workflowIdConflictPolicy: "FAIL",
      workflowIdReusePolicy: "REJECT_DUPLICATE",
      taskQueue: queues.runs,
      args: [run],
      memo: { requestHash, ...(keyHash !== undefined && { keyHash }), startedBy, status, ...lineage },
      staticSummary: `${plan.name} ${plan.version}`,
      // What the workflow calls inherits it.
      ...((priority !== undefined || fairnessKey !== undefined) && {
        priority: { ...(priority !== undefined && { priorityKey: priority }), ...(fairnessKey !== undefined && { fairnessKey }) },
      }),
      typedSearchAttributes: attributesOf(tenant, plan, status),
    }),
  );
  return { temporalRunId: handle.firstExecutionRunId, status };
}

/** Temporal decides between starts at the same moment; past its retention it would take an id again, and the run would not be recorded. */
async function refuseRecorded({ database }: Deps, { tenant, id }: Start): Promise<void> {
  if (await database.run.findUnique({ where: { id }, select: { id: true } }))
    throw new WorkflowExecutionAlreadyStartedError(`Run ${id} is recorded.`, workflowIdOf(tenant, id), workflowTypes.run);
}

const attributesOf = (tenant: string, { name, version }: { name: string; version: string }, status: string) => [
  { key: searchAttributes.tenant, value: tenant },
  { key: searchAttributes.workflow, value: name },
  { key: searchAttributes.version, value: version },
  { key: searchAttributes.status, value: status },
];

/**
 * 130 bits: of the key, so that a repetition meets the first start; random without one. The key's first part is the kind of start:
 * a caller's own words never name what an event, a webhook or a retry has started.
 */
export function runIdFor(tenant: string, key: [kind: StartKind, ...parts: string[]] | undefined): string {
  const bytes = key === undefined ? randomBytes(17) : Buffer.from(hashOf([tenant, ...key]), "hex");
  return `r_${base32(bytes).slice(0, 26)}`;
}

export type StartKind = "start" | "retry" | "fork" | "event" | "webhook" | "schedule";

// Crockford's alphabet: no letters that are taken for digits.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join("");
}

const inInput = ({ pointer, message }: { pointer: string; message: string }) => ({ pointer: `/input${pointer}`, message });

const plans = new WeakMap<Deps, Plans>();

/** The published plans, read once. */
export function plansOf(deps: Deps): Plans {
  const known = plans.get(deps) ?? new Plans(deps.database);
  plans.set(deps, known);
  return known;
}
