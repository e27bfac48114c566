import { z } from "zod";
import { workflowName } from "../contracts/definition-fields.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import {
  messageWebhookListSchema,
  messageWebhookSchema,
  putMessageWebhookSchema,
  type PutMessageWebhook,
} from "../contracts/message.schema.ts";
import { audit } from "../prisma/audit.ts";
import type { Prisma } from "../prisma/client.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const params = z.object({ name: workflowName });
const path = "/api/v2/message-webhooks/{name}" as const;

export const messageWebhookRoutes = [
  route({
    id: "listMessageWebhooks",
    method: "get",
    path: "/api/v2/message-webhooks",
    summary: "Addresses that messages may be sent to",
    tag: "Messages",
    scope: "read",
    answers: { 200: { description: "By name.", schema: messageWebhookListSchema } },
    handle: list,
  }),
  route({
    id: "putMessageWebhook",
    method: "put",
    path,
    summary: "Let messages be sent to an address",
    description: "Each message is POSTed as JSON; any 2xx takes it. What is sent already goes to the address as it is at that moment.",
    tag: "Messages",
    scope: "tenant",
    params,
    body: putMessageWebhookSchema,
    answers: { 200: { description: "The webhook.", schema: messageWebhookSchema } },
    faults: ["limit"],
    handle: put,
  }),
  route({
    id: "removeMessageWebhook",
    method: "delete",
    path,
    summary: "Let messages no longer be sent to an address",
    tag: "Messages",
    scope: "tenant",
    params,
    answers: { 204: { description: "Gone; messages under way to it are dead letters." } },
    faults: ["not_found"],
    handle: remove,
  }),
];

type Named<B = unknown> = Call<{ name: string }, unknown, B>;

async function list({ deps, caller }: Call): Promise<Answer> {
  const where = { tenant: caller.tenant };
  const rows = await deps.database.messageWebhook.findMany({ where, orderBy: { name: "asc" }, take: limits.messageWebhooksMax });
  return ok({ data: rows.map(view) });
}

async function put({ deps, caller, params: { name }, body, requestId }: Named<PutMessageWebhook>): Promise<Answer> {
  const { tenant, principal } = caller;
  const others = await deps.database.messageWebhook.count({ where: { tenant, name: { not: name } } });
  if (others >= limits.messageWebhooksMax)
    throw new Fault("limit", `A tenant may have ${limits.messageWebhooksMax} webhooks; remove one first.`);
  const address = { url: body.url, secret: body.secret ?? null };
  const row = await deps.database.$transaction(async (transaction) => {
    await audit(transaction, { tenant, actor: principal.name, action: "webhook.put", object: name, data: address, requestId });
    return transaction.messageWebhook.upsert({
      where: { tenant_name: { tenant, name } },
      create: { tenant, name, ...address, createdBy: principal.name },
      update: address,
    });
  });
  return ok(view(row));
}

async function remove({ deps, caller, params: { name }, requestId }: Named): Promise<Answer> {
  const { tenant, principal } = caller;
  await deps.database.$transaction(async (transaction) => {
    const { count } = await transaction.messageWebhook.deleteMany({ where: { tenant, name } });
    if (count === 0) throw new Fault("not_found", `No webhook ${name}.`);
    await audit(transaction, { tenant, actor: principal.name, action: "webhook.removed", object: name, data: {}, requestId });
  });
  return { status: 204 };
}

const view = ({ name, url, secret, createdBy, createdAt }: Prisma.MessageWebhookGetPayload<object>): JsonObject => ({
  name,
  url,
  secret,
  createdBy,
  createdAt: createdAt.toISOString(),
});
