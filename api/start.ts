import { WorkflowExecutionAlreadyStartedError } from "@temporalio/client";
import { runSummarySchema, startRunSchema, type StartRun } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { RunStatus } from "../contracts/events.ts";
import { runIdOf } from "../contracts/ids.ts";
import { canonicalJson, type Json } from "../contracts/json.ts";
import { begin, runIdFor, type Begun } from "./begin.ts";
import { keep } from "../prisma/blobs.ts";
import type { Prisma } from "../prisma/client.ts";
import { hashOf, sha256 } from "../prisma/hash.ts";
import { route, type Answer, type Call } from "./route.ts";
import { findRun, linksOf, summaryOf } from "./run-view.ts";
import { describeRun, firstRunId, memoText } from "./temporal.ts";

export const startRoutes = [
  route({
    id: "startRun",
    method: "post",
    path: "/api/v2/runs",
    summary: "Start a run",
    description:
      "One write, to Temporal: the run exists when this answers. With an Idempotency-Key the same request starts one run, however often it is sent.",
    tag: "Runs",
    scope: "start",
    body: startRunSchema,
    idempotency: "handler",
    answers: {
      200: { description: "With `onConflict: useExisting`: the run that has the id.", schema: runSummarySchema, headers: ["Location"] },
      202: { description: "Started.", schema: runSummarySchema, headers: ["Location"] },
    },
    faults: ["not_found", "idempotency_mismatch", "run_exists", "input_invalid", "reserved_key", "concurrency"],
    handle: start,
  }),
];

type StartCall = Call<unknown, unknown, StartRun>;

function start(call: StartCall): Promise<Answer> {
  const { deps, caller, body, idempotencyKey } = call;
  const { id, workflow, version, input = {}, priority, fairnessKey } = body;
  const once: Once = {
    id:
      id === undefined
        ? runIdFor(caller.tenant, idempotencyKey === undefined ? undefined : ["start", idempotencyKey])
        : runIdOf(caller.tenant, id),
    request: body as Json,
    begin: (base) => begin(deps, { ...base, workflow, version, input: input as Json, priority, fairnessKey }),
    isOf: async (row) => row.workflow === workflow && (await hasInput(call, row, input as Json)),
  };
  return id === undefined ? startOnce(call, once) : startUnderOwnId(call, once);
}

interface Once {
  id: string;
  /** What was asked for: the same key with another request is noticed. */
  request: Json;
  begin: (base: Started) => Promise<Begun>;
  /** Whether the request can have started this run, once Temporal has forgotten what it was; absent: the id says all there is to know. */
  isOf?: (row: Row) => Promise<boolean>;
}

type Row = Prisma.RunGetPayload<object>;

interface Started {
  tenant: string;
  id: string;
  requestHash: string;
  keyHash?: string;
  startedBy: string;
}

/** Start a run, or find the one that the same request has started before. */
export async function startOnce(call: Call, once: Once): Promise<Answer> {
  const { id, request, begin: beginIt } = once;
  const started = startedBy(call, id, request);
  try {
    return accepted(call, id, await beginIt(started));
  } catch (error) {
    const earlier = mayBeRepeated(call, error) ? ((await earlierStart(call, started)) ?? (await recordedStart(call, once))) : undefined;
    if (earlier === undefined) throw error;
    return accepted(call, id, earlier);
  }
}

// A refusal of a repeated request does not count either: the workflow may have got a stricter version since the first.
const mayBeRepeated = ({ idempotencyKey }: Call, error: unknown): boolean =>
  error instanceof WorkflowExecutionAlreadyStartedError || (idempotencyKey !== undefined && error instanceof Fault);

/** The start with this id; undefined when there was none. */
async function earlierStart({ deps }: Call, { tenant, id, requestHash, keyHash }: Started): Promise<Begun | undefined> {
  const description = await describeRun({ temporal: deps.temporal, tenant, run: id });
  if (!description || memoText(description, "keyHash") !== keyHash) return undefined;
  if (memoText(description, "requestHash") === requestHash)
    return { temporalRunId: firstRunId(description), status: memoText(description, "status") === "paused" ? "paused" : "running" };
  throw mismatch();
}

/** The same past Temporal's retention: of the request we know what is recorded of its run. */
async function recordedStart({ deps, caller }: Call, { id, isOf }: Once): Promise<Begun | undefined> {
  const row = await deps.database.run.findFirst({ where: { id, tenant: caller.tenant } });
  if (!row) return undefined;
  if (isOf && !(await isOf(row))) throw mismatch();
  return { temporalRunId: row.temporalRunId, status: row.status as RunStatus };
}

// A run that was terminated before its first record has none.
const hasInput = async ({ deps }: Call, { tenant, input }: Row, given: Json): Promise<boolean> =>
  input === null || canonicalJson(await keep(deps.database, tenant, given)) === canonicalJson(input as Json);

const mismatch = (): Fault =>
  new Fault("idempotency_mismatch", "This Idempotency-Key has started a run from another request; take a new one.");

/**
 * Start a run under an id of the caller's, which is used once and never again. Who comes second is told of the run that has
 * it, or given that run, whatever else is wrong with the request.
 */
async function startUnderOwnId(call: StartCall, { id, request, begin: beginIt }: Once): Promise<Answer> {
  const keyHash = call.idempotencyKey === undefined ? {} : { keyHash: sha256(call.idempotencyKey) };
  const started = { ...startedBy(call, id, request), ...keyHash };
  try {
    return accepted(call, id, await beginIt(started));
  } catch (error) {
    const isExpected = error instanceof WorkflowExecutionAlreadyStartedError || error instanceof Fault;
    const answer = isExpected ? await answerOfExisting(call, started) : undefined;
    if (answer === undefined) throw error;
    return answer;
  }
}

/** What the run that has the id makes of this start; undefined when there is none. */
async function answerOfExisting(call: StartCall, started: Started): Promise<Answer | undefined> {
  const { deps, caller, body } = call;
  const repeated = started.keyHash === undefined ? undefined : await earlierStart(call, started);
  if (repeated) return accepted(call, started.id, repeated);
  const run = await findRun(deps, caller.tenant, started.id);
  if (!run) return undefined;
  const existing = summaryOf(call, run);
  const { self } = linksOf(deps.settings, { ...run, tenant: caller.tenant });
  if (body.onConflict === "useExisting") return { status: 200, body: existing, headers: { Location: self } };
  const advice = 'take another id, or say `onConflict: "useExisting"` for that run.';
  throw new Fault("run_exists", `The id is that of ${self} (${run.status}): ${advice}`, { extra: { run: existing } });
}

const startedBy = ({ caller }: Call, id: string, request: Json): Started => ({
  tenant: caller.tenant,
  id,
  requestHash: hashOf(request),
  startedBy: caller.principal.name,
});

/** The same bytes for the first answer and for every repetition. */
function accepted({ deps, caller }: Call, id: string, { temporalRunId, status }: Begun): Answer {
  const links = linksOf(deps.settings, { tenant: caller.tenant, id, temporalRunId });
  return { status: 202, body: { id, status, links: { ...links } }, headers: { Location: links.self } };
}
