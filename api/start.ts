import { WorkflowExecutionAlreadyStartedError } from "@temporalio/client";
import { runSummarySchema, startRunSchema, type StartRun } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { canonicalJson, type Json } from "../contracts/json.ts";
import { begin, runIdFor, type Begun } from "./begin.ts";
import { sha256 } from "./hash.ts";
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
    faults: ["not_found", "idempotency_mismatch", "input_invalid", "reserved_key", "concurrency"],
    handle: start,
  }),
];

type StartCall = Call<unknown, unknown, StartRun>;

function start(call: StartCall): Promise<Answer> {
  const { deps, caller, body, idempotencyKey } = call;
  const { workflow, version, input = {}, priority, fairnessKey } = body;
  return startOnce(call, {
    id: runIdFor(caller.tenant, idempotencyKey),
    request: body as Json,
    begin: (base) => begin(deps, { ...base, workflow, version, input: input as Json, priority, fairnessKey }),
  });
}

interface Once {
  id: string;
  /** What was asked for: the same key with another request is noticed. */
  request: Json;
  begin: (base: { tenant: string; id: string; requestHash: string; startedBy: string }) => Promise<Begun>;
}

/** Start a run, or find the one that the same request has started before. */
export async function startOnce(call: Call, { id, request, begin: beginIt }: Once): Promise<Answer> {
  const { tenant, principal } = call.caller;
  const started = { tenant, id, requestHash: sha256(canonicalJson(request)), startedBy: principal.name };
  try {
    return accepted(call, id, await beginIt(started));
  } catch (error) {
    const earlier = mayBeRepeated(call, error) ? await earlierStart(call, started) : undefined;
    if (earlier === undefined) throw error;
    return accepted(call, id, earlier);
  }
}

// A refusal of a repeated request does not count either: the workflow may have got a stricter version since the first.
const mayBeRepeated = ({ idempotencyKey }: Call, error: unknown): boolean =>
  error instanceof WorkflowExecutionAlreadyStartedError || (idempotencyKey !== undefined && error instanceof Fault);

/** The start with this id; undefined when there was none. */
async function earlierStart({ deps, caller }: Call, { id, requestHash }: { id: string; requestHash: string }): Promise<Begun | undefined> {
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
