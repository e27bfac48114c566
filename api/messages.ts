import { z } from "zod";
import { deliveryStatuses, recipientOf, wakeOf, type Party, type Recipient } from "../contracts/agent-messages.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import {
  acceptedMessageSchema,
  messagePageSchema,
  messageSchema,
  sendMessageSchema,
  type SendMessage,
} from "../contracts/message.schema.ts";
import { workflowTypes } from "../contracts/messages.ts";
import { audit } from "../prisma/audit.ts";
import { resolve } from "../prisma/blobs.ts";
import type { Prisma } from "../prisma/client.ts";
import { beginAnew, laneOf } from "../prisma/deliveries.ts";
import { acceptMessage, keyedId } from "../prisma/messages.ts";
import { decodeCursor, encodeCursor, olderThan, pageOf, placeMax } from "./cursor.ts";
import type { Deps } from "./deps.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { jsonOf } from "./run-view.ts";

const params = z.object({ id: z.string().min(1).max(100).meta({ description: "Message id." }) });
const name = z.string().min(1).max(255).optional();
const query = pageQuery.extend({
  agent: name.meta({ description: "From or to this agent." }),
  run: name.meta({ description: "From or to this run." }),
  correlationId: name,
  status: z.enum(deliveryStatuses).optional().meta({ description: "Of one of its deliveries; `dead`: the dead letters." }),
});
type Query = z.output<typeof query>;

const common = { tag: "Messages", scope: "read" } as const;
const ofMessage = { ...common, params, faults: ["not_found" as const] };

export const messageRoutes = [
  route({
    ...common,
    id: "sendMessage",
    method: "post",
    path: "/api/v2/messages",
    summary: "Send a message to agents and webhooks",
    description:
      "Durable when this answers. With an Idempotency-Key the same request is one message, however often it is sent. An agent answers with a message of the same `correlationId`.",
    scope: "start",
    body: sendMessageSchema,
    idempotency: "handler",
    answers: { 202: { description: "Stored, and on its way.", schema: acceptedMessageSchema, headers: ["Location"] } },
    faults: ["not_found", "mailbox_full", "too_large", "idempotency_mismatch", "reserved_key", "limit"],
    handle: send,
  }),
  route({
    ...common,
    id: "listMessages",
    method: "get",
    path: "/api/v2/messages",
    summary: "Messages with their deliveries, newest first",
    query,
    answers: { 200: { description: "A page.", schema: messagePageSchema } },
    handle: list,
  }),
  route({
    ...ofMessage,
    id: "getMessage",
    method: "get",
    path: "/api/v2/messages/{id}",
    summary: "A message with its payload and its deliveries",
    answers: { 200: { description: "The message.", schema: messageSchema } },
    handle: async (call) => ok(await show(call)),
  }),
  route({
    ...ofMessage,
    id: "redriveMessage",
    method: "post",
    path: "/api/v2/messages/{id}/redrive",
    summary: "Send a message again to those whom it did not reach, or who failed to answer it",
    description: "Deliveries that are `dead` or `failed` begin anew, after what was sent since. Those that are not stay as they are.",
    scope: "attend",
    idempotency: "table",
    answers: { 202: { description: "On its way again.", schema: messageSchema } },
    handle: redrive,
  }),
];

async function send({ deps, caller, body, idempotencyKey }: Call<unknown, unknown, SendMessage>): Promise<Answer> {
  const { tenant, principal } = caller;
  const sender: Party = { kind: principal.kind, name: principal.name };
  const to = recipientsOf(body.to);
  const { messageType: type, payload = null, correlationId } = body;
  const id = idempotencyKey === undefined ? undefined : keyedId(tenant, sender, idempotencyKey);
  const accepted = await acceptMessage(deps.database, { tenant, sender, to, type, payload, id, correlationId });
  await wake(deps, tenant, sender, to);
  const self = `/api/v2/messages/${accepted.id}`;
  const answer = { id: accepted.id, correlationId: accepted.correlationId, at: accepted.createdAt.toISOString(), links: { self } };
  return { status: 202, body: answer, headers: { Location: self } };
}

/** Each once, as its schema lets it pass. */
function recipientsOf(to: SendMessage["to"]): Recipient[] {
  const named = (Array.isArray(to) ? to : [to]).map((each) => recipientOf(each)!);
  return named.filter(
    ({ kind, name: wanted }, index) => index === named.findIndex((other) => other.kind === kind && other.name === wanted),
  );
}

/** It is durable without: what nobody was woken for, reconcile finds. */
async function wake({ temporal, log }: Deps, tenant: string, sender: Party, to: Party[]): Promise<void> {
  try {
    await temporal.withDeadline(Date.now() + limits.updateUnheardMs, () =>
      temporal.workflow.signalWithStart(workflowTypes.delivery, wakeOf(tenant, sender, to)),
    );
  } catch (error) {
    log.warn({ err: error, tenant }, "a delivery could not be woken");
  }
}

async function list({ deps, caller, query: wanted }: Call<unknown, Query>): Promise<Answer> {
  const { cursor, limit } = wanted;
  const rows = await deps.database.agentMessage.findMany({
    where: { AND: [{ tenant: caller.tenant }, ...filters(wanted), olderThan("createdAt", decodeCursor(cursor, placeMax.time))] },
    orderBy: [{ createdAt: "desc" }, { id: "asc" }],
    take: limit + 1,
    omit: { payload: true },
    include,
  });
  return ok(pageOf(rows, limit, { item: view, cursor: (row) => encodeCursor([row.createdAt.getTime(), row.id]) }));
}

const include = { deliveries: { orderBy: { seq: "asc" } } } as const;

function filters({ agent, run, correlationId, status }: Query): Prisma.AgentMessageWhereInput[] {
  const named = (kind: string, party: string) => ({
    OR: [{ senderKind: kind, sender: party }, { deliveries: { some: { recipientKind: kind, recipient: party } } }],
  });
  return [
    ...(agent === undefined ? [] : [named("agent", agent)]),
    ...(run === undefined ? [] : [named("run", run)]),
    ...(correlationId === undefined ? [] : [{ correlationId }]),
    ...(status === undefined ? [] : [{ deliveries: { some: { status } } }]),
  ];
}

async function show({ deps, caller, params: { id } }: Call<{ id: string }>): Promise<JsonObject> {
  const isId = z.guid().safeParse(id).success;
  const row = isId ? await deps.database.agentMessage.findFirst({ where: { id, tenant: caller.tenant }, include }) : null;
  if (!row) throw new Fault("not_found", `No message ${id}.`);
  return { ...view(row), payload: await resolve(deps.database, caller.tenant, jsonOf(row.payload)) };
}

async function redrive(call: Call<{ id: string }>): Promise<Answer> {
  const {
    deps,
    caller,
    params: { id },
    requestId,
  } = call;
  await show(call);
  const { tenant, principal } = caller;
  const rows = await deps.database.$transaction(async (transaction) => {
    const again = await beginAnew(transaction, tenant, id);
    const to = again.map(({ recipientKind, recipient }) => `${recipientKind} ${recipient}`);
    await audit(transaction, { tenant, actor: principal.name, action: "message.redriven", object: id, data: { to }, requestId });
    return again;
  });
  const lanes = rows.map(laneOf);
  if (lanes[0])
    await wake(
      deps,
      tenant,
      lanes[0].sender,
      lanes.map(({ to }) => to),
    );
  return { status: 202, body: await show(call) };
}

type Row = Omit<Prisma.AgentMessageGetPayload<{ include: typeof include }>, "payload">;

const view = (row: Row): JsonObject => ({
  id: row.id,
  from: { kind: row.senderKind, name: row.sender },
  messageType: row.type,
  correlationId: row.correlationId,
  replyTo: row.replyTo,
  replyUntil: row.replyUntil?.toISOString() ?? null,
  at: row.createdAt.toISOString(),
  deliveries: row.deliveries.map((delivery) => ({
    to: { kind: delivery.recipientKind, name: delivery.recipient },
    status: delivery.status,
    round: delivery.round,
    attempts: delivery.attempts,
    problem: delivery.problem as Json,
    runId: delivery.runId,
    replyId: delivery.replyId,
    deliveredAt: delivery.deliveredAt?.toISOString() ?? null,
    endedAt: delivery.endedAt?.toISOString() ?? null,
  })),
});
