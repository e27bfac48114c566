import { z } from "zod";
import { approvalPageSchema, approvalSchema, decisionSchema, type Decision } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Prisma } from "../prisma/client.ts";
import { keep, resolve } from "../prisma/blobs.ts";
import { decodeCursor, encodeCursor, olderThan, pageOf, placeMax } from "./cursor.ts";
import { sha256 } from "./hash.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { jsonOf } from "./run-view.ts";
import { update } from "./temporal.ts";

const params = z.object({ id: z.string().min(1).max(1_000).meta({ description: "Approval id." }) });
const query = pageQuery.extend({
  status: z.enum(["pending", "approved", "rejected", "expired", "canceled"]).optional(),
  runId: z.string().min(1).max(255).optional(),
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
    description: "Only with a person's key. Whether that person may decide, the run checks.",
    tag: "Approvals",
    scope: "decide",
    params,
    body: decisionSchema,
    idempotency: "table",
    answers: { 200: { description: "Decided.", schema: approvalSchema } },
    faults: ["not_found", "approval_closed", "run_ended", "reserved_key"],
    handle: decide,
  }),
];

type Row = Prisma.ApprovalGetPayload<object>;

async function list({ deps, caller, query: { cursor, limit, status, runId } }: Call<unknown, z.output<typeof query>>): Promise<Answer> {
  const filter = { tenant: caller.tenant, ...(status !== undefined && { status }), ...(runId !== undefined && { runId }) };
  const rows = await deps.database.approval.findMany({
    where: { AND: [filter, olderThan("askedAt", decodeCursor(cursor, placeMax.time))] },
    orderBy: [{ askedAt: "desc" }, { id: "asc" }],
    take: limit + 1,
  });
  return ok(pageOf(rows, limit, { item: view, cursor: (row) => encodeCursor([row.askedAt.getTime(), row.id]) }));
}

async function get(call: Call<{ id: string }>): Promise<Answer> {
  return ok(await resolved(call, await find(call)));
}

async function decide(call: Call<{ id: string }, unknown, Decision>): Promise<Answer> {
  const { deps, caller, body } = call;
  if (caller.principal.kind !== "person") throw new Fault("forbidden", "Only a person may decide; this key belongs to a program.");
  const row = await find(call);
  if (row.status !== "pending") throw closed(row.id, row.status);
  const data = body.data === undefined ? {} : { data: await keep(deps.database, caller.tenant, body.data as Json) };
  const comment = body.comment === undefined ? {} : { comment: body.comment };
  const argument = { path: row.stepPath, decision: body.decision, by: caller.principal, ...data, ...comment };
  const address = { temporal: deps.temporal, tenant: caller.tenant, run: row.runId };
  await update(address, "decide", { updateId: updateIdOf(call, row), argument }).catch((error: unknown) => {
    throw error instanceof Fault && error.code === "run_ended" ? closed(row.id, "over: its run has ended") : error;
  });
  const recorded = await find(call);
  return ok(await resolved(call, recorded.status === "pending" ? { ...recorded, ...decisionOf(call, data.data) } : recorded));
}

// The run has accepted the decision, and its record has not heard of it yet: Postgres is slow or away.
const decisionOf = ({ caller, body }: Call<{ id: string }, unknown, Decision>, data: Json | undefined) => ({
  status: body.decision === "approve" ? "approved" : "rejected",
  decidedAt: new Date(),
  decidedBy: caller.principal.name,
  comment: body.comment ?? null,
  data: data ?? null,
});

/** Another tenant's approval is as unknown as none. */
async function find(call: Call<{ id: string }>): Promise<Row> {
  const { id } = call.params;
  const row = await call.deps.database.approval.findFirst({ where: { id, tenant: call.caller.tenant } });
  if (row) return row;
  throw new Fault("not_found", `No approval ${id}.`);
}

const closed = (id: string, status: string): Fault => new Fault("approval_closed", `Approval ${id} is ${status}.`);

const updateIdOf = ({ caller, body, idempotencyKey }: Call<{ id: string }, unknown, Decision>, row: Row): string =>
  // The same for a repetition, another when the question is asked anew.
  sha256(JSON.stringify([row.id, row.askedAt, caller.principal.name, body.decision, idempotencyKey ?? null]));

async function resolved({ deps, caller }: Call, row: Row): Promise<JsonObject> {
  const [payload, data] = await Promise.all([row.payload, row.data].map((value) => resolve(deps.database, caller.tenant, jsonOf(value))));
  return { ...view(row), payload: payload!, data: data! };
}

const view = (row: Row): JsonObject => ({
  id: row.id,
  runId: row.runId,
  stepPath: row.stepPath,
  title: row.title,
  payload: jsonOf(row.payload),
  assignees: row.assignees,
  status: row.status,
  askedAt: row.askedAt.toISOString(),
  expiresAt: row.expiresAt?.toISOString() ?? null,
  decidedAt: row.decidedAt?.toISOString() ?? null,
  decidedBy: row.decidedBy,
  comment: row.comment,
  data: jsonOf(row.data),
});
