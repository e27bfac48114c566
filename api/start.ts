import { randomBytes, createHash } from "node:crypto";
import { WorkflowExecutionAlreadyStartedError } from "@temporalio/client";
import { runSummarySchema, startRunSchema, type StartRun } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { queues, workflowIdOf } from "../contracts/ids.ts";
import { canonicalJson, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes, type RunArguments } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import { validateValue } from "../language/index.ts";
import type { Plan } from "../language/plan.ts";
import { keep } from "../prisma/blobs.ts";
import type { Deps } from "./deps.ts";
import { sha256 } from "./hash.ts";
import { platformHolds } from "../prisma/pauses.ts";
import { Plans } from "../prisma/plans.ts";
import { faultOf } from "./problem.ts";
import { route, type Answer, type Call } from "./route.ts";
import { linksOf } from "./run-view.ts";
import { describeRun, firstRunId, memoText } from "./temporal.ts";

export const startRoutes = [
  route({
    id: "startRun",
    method: "post",
    path: "/api/v2/runs",
    summary: "Start a run",
    description:
      "One write, to Temporal: the run exists when this answers. With an Idempotency-Key the same request starts one run, however often it is sent, as long as Temporal keeps the run.",
    tag: "Runs",
    scope: "start",
    body: startRunSchema,
    idempotency: "handler",
    answers: { 202: { description: "Started.", schema: runSummarySchema, headers: ["Location"] } },
    faults: ["not_found", "idempotency_mismatch", "input_invalid", "reserved_key"],
    handle: start,
  }),
];

type StartCall = Call<unknown, unknown, StartRun>;

function start(call: StartCall): Promise<Answer> {
  const id = runIdFor(call.caller.tenant, call.idempotencyKey);
  return startOnce(call, { id, request: call.body as Json, prepare: () => prepare(call) });
}

interface Start {
  id: string;
  /** What was asked for: the same key with another request is noticed. */
  request: Json;
  prepare: () => Promise<Prepared>;
}

/** A run that only has to be started. */
export interface Prepared extends Pick<RunArguments, "input" | "origin" | "effectRoot"> {
  plan: Plan;
}

/** Start a run, or find the one that the same request has started before. */
export async function startOnce(call: Call, { id, request, prepare: prepared }: Start): Promise<Answer> {
  const started: Started = { id, requestHash: sha256(canonicalJson(request)) };
  try {
    return accepted(call, id, await startWorkflow(call, { ...started, ...(await prepared()) }));
  } catch (error) {
    const earlier = mayBeRepeated(call, error) ? await earlierStart(call, started) : undefined;
    if (earlier === undefined) throw error;
    return accepted(call, id, earlier);
  }
}

interface Started {
  id: string;
  /** Kept in the run's memo. */
  requestHash: string;
}

async function prepare({ deps, caller, body }: StartCall): Promise<Prepared> {
  const plan = await plansOf(deps).load(caller.tenant, body.workflow, body.version);
  const input = (body.input === undefined ? {} : body.input) as Json;
  checkInput(plan, input);
  return { plan, input: await keep(deps.database, caller.tenant, input) };
}

/** What a start answers with, and answers again. */
interface Begun {
  temporalRunId: string;
  status: "running" | "paused";
}

/** Fault `input_invalid` with the place of each mismatch. */
export function checkInput(plan: Plan, input: Json): void {
  const mismatches = plan.input === undefined ? [] : validateValue(plan.input, input);
  if (mismatches.length > 0) throw faultOf("input_invalid", "The input does not fit the workflow's schema.", mismatches.map(inInput));
}

async function startWorkflow(call: Call, { id, requestHash, plan, input, ...from }: Started & Prepared): Promise<Begun> {
  const { deps, caller } = call;
  const { tenant, principal } = caller;
  const labels = { name: plan.name, version: plan.version };
  const holds = await platformHolds(deps.database, tenant, plan.name);
  const status = holds.holds.length > 0 ? "paused" : "running";
  const run: RunArguments = {
    tenant,
    id,
    workflow: labels.name,
    version: labels.version,
    input,
    env: deps.settings.expressionEnv,
    startedBy: principal.name,
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
      memo: { requestHash, startedBy: principal.name, status, ...lineage },
      staticSummary: `${labels.name} ${labels.version}`,
      typedSearchAttributes: attributesOf(tenant, labels, status),
    }),
  );
  return { temporalRunId: handle.firstExecutionRunId, status };
}

const attributesOf = (tenant: string, { name, version }: { name: string; version: string }, status: string) => [
  { key: searchAttributes.tenant, value: tenant },
  { key: searchAttributes.workflow, value: name },
  { key: searchAttributes.version, value: version },
  { key: searchAttributes.status, value: status },
];

// A refusal of a repeated request does not count either: the workflow may have got a stricter version since the first.
const mayBeRepeated = ({ idempotencyKey }: Call, error: unknown): boolean =>
  error instanceof WorkflowExecutionAlreadyStartedError || (idempotencyKey !== undefined && error instanceof Fault);

/** The start with this id; undefined when there was none. */
async function earlierStart({ deps, caller }: Call, { id, requestHash }: Started): Promise<Begun | undefined> {
  const description = await describeRun({ temporal: deps.temporal, tenant: caller.tenant, run: id });
  if (!description) return undefined;
  if (memoText(description, "requestHash") === requestHash)
    return { temporalRunId: firstRunId(description), status: memoText(description, "status") === "paused" ? "paused" : "running" };
  throw new Fault("idempotency_mismatch", "This Idempotency-Key has started a run from another request; take a new one.");
}

/** The same bytes for the first answer and for every repetition. */
function accepted({ deps, caller }: Call, id: string, { temporalRunId, status }: Begun): Answer {
  const links = linksOf(deps.settings, { tenant: caller.tenant, id, temporalRunId });
  return { status: 202, body: { id, status, links: { ...links } }, headers: { Location: links.self } };
}

/** 130 bits: of the key, so that a repetition meets the first start; random without one. */
export function runIdFor(tenant: string, idempotencyKey: string | undefined): string {
  const bytes = idempotencyKey === undefined ? randomBytes(17) : createHash("sha256").update(`${tenant}\0${idempotencyKey}`).digest();
  return `r_${base32(bytes).slice(0, 26)}`;
}

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
