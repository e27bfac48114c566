import { z } from "zod";
import { approvalPageSchema, approvalSchema, decisionSchema, type Decision } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import type { Vote, Voted } from "../contracts/messages.ts";
import { validateValue } from "../language/validate.ts";
import type { Prisma } from "../prisma/client.ts";
import { keep, resolve } from "../prisma/blobs.ts";
import { decodeCursor, encodeCursor, olderThan, pageOf, placeMax } from "./cursor.ts";
import { sha256 } from "../prisma/hash.ts";
import { askedIn } from "../prisma/windows.ts";
import { pageQuery } from "./parameters.ts";
import { faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { jsonOf } from "./run-view.ts";
import { requireRoom, update } from "./temporal.ts";

const params = z.object({ id: z.string().min(1).max(1_000).meta({ description: "Approval id." }) });
const name = z.string().min(1).max(255);
const query = pageQuery.extend({
  status: z.enum(["pending", "approved", "rejected", "expired", "canceled"]).optional(),
  runId: name.optional().meta({ description: "Of this run, items of its large `foreach`es included." }),
  workflow: name.optional(),
  assignee: name.optional().meta({ description: "Assigned to this person by name." }),
  role: name.optional().meta({ description: "Assigned to this role; with `assignee`: to either." }),
  mine: z.literal("true").optional().meta({ description: "What the key's principal may decide and has not answered." }),
});

export const approvalRoutes = [
  route({
    id: "listApprovals",
    method: "get",
    path: "/api/v2/approvals",
    summary: "Questions to people, newest first",
    tag: "Approvals",
    scope: "read",
    query,
    answers: { 200: { description: "A page.", schema: approvalPageSchema } },
    handle: list,
  }),
  route({
    id: "getApproval",
    method: "get",
    path: "/api/v2/approvals/{id}",
    summary: "One question",
    tag: "Approvals",
    scope: "read",
    params,
    answers: { 200: { description: "The approval.", schema: approvalSchema } },
    faults: ["not_found"],
    handle: get,
  }),
  route({
    id: "decideApproval",
    method: "post",
    path: "/api/v2/approvals/{id}/decision",
    summary: "Approve or reject",
    description:
      "Only with a person's key. Whether that person may decide, the run checks. Approved when `quorum` different persons have approved, rejected by the first rejection.",
    tag: "Approvals",
    scope: "decide",
    params,
    body: decisionSchema,
    idempotency: "table",
    answers: { 200: { description: "Counted: decided, or still pending.", schema: approvalSchema } },
    faults: ["not_found", "approval_closed", "approval_stale", "approval_voted", "run_ended", "input_invalid", "reserved_key"],
    handle: decide,
  }),
];

type Row = Prisma.ApprovalGetPayload<{ include: typeof withRun }>;
type DecisionCall = Call<{ id: string }, unknown, Decision>;

const withRun = { run: { select: { workflow: true } } } as const;

async function list(call: Call<unknown, z.output<typeof query>>): Promise<Answer> {
  const { cursor, limit, runId, status } = call.query;
  const runs = runId === undefined ? undefined : await askedIn(call.deps.database, runId, status);
  const rows = await call.deps.database.approval.findMany({
    where: {
      AND: [...filters(call), ...(runs ? [{ runId: { in: runs } }] : []), olderThan("askedAt", decodeCursor(cursor, placeMax.time))],
    },
    orderBy: [{ askedAt: "desc" }, { id: "asc" }],
    take: limit + 1,
    include: withRun,
  });
  return ok(pageOf(rows, limit, { item: view, cursor: (row) => encodeCursor([row.askedAt.getTime(), row.id]) }));
}

function filters({ caller, query: { status, workflow, assignee, role, mine } }: Call<unknown, z.output<typeof query>>) {
  const { tenant, principal } = caller;
  const named = [...(assignee === undefined ? [] : namesOf(assignee)), ...(role === undefined ? [] : [`role:${role}`])];
  const own = [...namesOf(principal.name), ...principal.roles.map((own) => `role:${own}`)];
  const mayAll = principal.roles.includes("admin");
  const filter: Prisma.ApprovalWhereInput[] = [{ tenant }];
  if (status !== undefined) filter.push({ status });
  if (workflow !== undefined) filter.push({ run: { workflow } });
  if (named.length > 0) filter.push({ assignees: { hasSome: named } });
  if (!mine) return filter;
  if (!mayAll) filter.push({ OR: [{ assignees: { isEmpty: true } }, { assignees: { hasSome: own } }] });
  return [...filter, { status: "pending" }, { NOT: { votes: { array_contains: [{ by: principal.name }] } } }];
}

const namesOf = (person: string): string[] => [person, `person:${person}`];

async function get(call: Call<{ id: string }>): Promise<Answer> {
  return ok(await resolved(call, await find(call)));
}

async function decide(call: DecisionCall): Promise<Answer> {
  const { deps, caller, body } = call;
  if (caller.principal.kind !== "person") throw new Fault("forbidden", "Only a person may decide; this key belongs to a program.");
  requireRoom();
  const row = await find(call);
  if (row.status !== "pending") throw closed(row.id, row.status);
  refuseRepeated(call, row);
  refuseUnseen(call, row);
  await refuseMisfit(call, row);
  const data = body.data === undefined ? {} : { data: await keep(deps.database, caller.tenant, body.data as Json) };
  const { payloadHash = row.payloadHash, comment } = body;
  const argument = {
    path: row.stepPath,
    decision: body.decision,
    by: caller.principal,
    payloadHash,
    ...data,
    ...(comment === undefined ? {} : { comment }),
  };
  const address = { temporal: deps.temporal, tenant: caller.tenant, run: row.runId };
  const answer = await update(address, "decide", { updateId: updateIdOf(call, row), argument }).catch((error: unknown) => {
    throw error instanceof Fault && error.code === "run_ended" ? closed(row.id, "over: its run has ended") : error;
  });
  const recorded = { ...row, ...(await deps.database.approval.findUniqueOrThrow({ where: { id: row.id } })) };
  return ok(await resolved(call, { ...recorded, ...unrecorded(call, recorded, answer as Voted) }));
}

function refuseRepeated({ caller: { principal } }: DecisionCall, { id, votes, quorum }: Row): void {
  if (!votesOf(votes).some(({ by }) => by === principal.name)) return;
  throw new Fault("approval_voted", `${principal.name} has answered ${id} already; ${quorum} different persons must approve.`);
}

/** Of a payload that never was another, whoever answers can have seen no other. */
function refuseUnseen({ body }: DecisionCall, { id, isChanged }: Row): void {
  if (!isChanged || body.payloadHash !== undefined) return;
  const detail = `The payload of ${id} is another than it was; read the approval again and give its \`payloadHash\` with the decision.`;
  throw faultOf("approval_stale", detail, [{ pointer: "/payloadHash", message: "missing" }]);
}

/** The form, where there is one, is what approving asks for; whoever rejects need not fill it in. */
async function refuseMisfit({ deps, caller, body }: DecisionCall, row: Row): Promise<void> {
  if (row.form === null || (body.decision === "reject" && body.data === undefined)) return;
  const given = body.data === undefined && row.editable ? await resolve(deps.database, caller.tenant, jsonOf(row.payload)) : body.data;
  const mismatches = validateValue(row.form as JsonSchema, (given ?? null) as Json);
  if (mismatches.length === 0) return;
  const inData = mismatches.map(({ pointer, message }) => ({ pointer: `/data${pointer}`, message }));
  throw faultOf("input_invalid", "The decision's `data` does not fit the approval's form.", inData);
}

// The run has counted the answer, and its record has not heard of it yet: Postgres is slow or away.
function unrecorded({ caller, body }: DecisionCall, recorded: Row, { status, votes }: Voted): Partial<Row> {
  if (recorded.status !== "pending" || votesOf(recorded.votes).some(({ by }) => by === caller.principal.name)) return {};
  if (status === "pending") return { votes };
  const data = (body.data ?? (recorded.editable && status === "approved" ? recorded.payload : null)) as Prisma.JsonValue;
  return { status, votes, decidedAt: new Date(), decidedBy: caller.principal.name, comment: body.comment ?? null, data };
}

/** Another tenant's approval is as unknown as none. */
async function find(call: Call<{ id: string }>): Promise<Row> {
  const { id } = call.params;
  const row = await call.deps.database.approval.findFirst({ where: { id, tenant: call.caller.tenant }, include: withRun });
  if (row) return row;
  throw new Fault("not_found", `No approval ${id}.`);
}

const closed = (id: string, status: string): Fault => new Fault("approval_closed", `Approval ${id} is ${status}.`);

const updateIdOf = ({ caller, body, idempotencyKey }: DecisionCall, { id, askedAt, payloadHash }: Row): string =>
  // The same for a repetition, another when the question is asked anew or shows something else.
  sha256(JSON.stringify([id, askedAt, payloadHash, caller.principal.name, body, idempotencyKey ?? null]));

const votesOf = (votes: Prisma.JsonValue): Vote[] => votes as unknown as Vote[];

async function resolved({ deps, caller }: Call, row: Row): Promise<JsonObject> {
  const [payload, data] = await Promise.all([row.payload, row.data].map((value) => resolve(deps.database, caller.tenant, jsonOf(value))));
  return { ...view(row), payload: payload!, data: data! };
}

const view = (row: Row): JsonObject => ({
  id: row.id,
  runId: row.runId,
  stepPath: row.stepPath,
  workflow: row.run.workflow,
  title: row.title,
  payload: jsonOf(row.payload),
  payloadHash: row.payloadHash,
  assignees: row.assignees,
  quorum: row.quorum,
  votes: jsonOf(row.votes),
  editable: row.editable,
  form: jsonOf(row.form),
  status: row.status,
  askedAt: row.askedAt.toISOString(),
  expiresAt: row.expiresAt?.toISOString() ?? null,
  decidedAt: row.decidedAt?.toISOString() ?? null,
  decidedBy: row.decidedBy,
  comment: row.comment,
  data: jsonOf(row.data),
  escalatedAt: row.escalatedAt?.toISOString() ?? null,
});
