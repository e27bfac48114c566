import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { modelQuotaBodySchema, modelQuotaPageSchema, modelQuotaSchema } from "../contracts/quota.schema.ts";
import { audit } from "../prisma/audit.ts";
import type { Prisma } from "../prisma/client.ts";
import { decodeCursor, encodeCursor, pageOf } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const modelQuery = z.strictObject({ model: z.string().min(1).max(255).meta({ description: "`provider/model`, or a provider." }) });

export const modelQuotaRoutes = [
  route({
    id: "setModelQuota",
    method: "put",
    path: "/api/v2/model-quotas",
    summary: "Say how often the tenant's runs may ask a model",
    description: "Beside the operator's quotas. Calls above it wait for their turn. Workers know of it within 2 s.",
    tag: "Budgets",
    scope: "tenant",
    body: modelQuotaBodySchema,
    answers: { 200: { description: "The quota.", schema: modelQuotaSchema } },
    faults: ["limit"],
    handle: set,
  }),
  route({
    id: "listModelQuotas",
    method: "get",
    path: "/api/v2/model-quotas",
    summary: "Quotas that the tenant has set",
    tag: "Budgets",
    scope: "read",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: modelQuotaPageSchema } },
    handle: list,
  }),
  route({
    id: "removeModelQuota",
    method: "delete",
    path: "/api/v2/model-quotas",
    summary: "Ask a model as often as the operator's quotas allow",
    tag: "Budgets",
    scope: "tenant",
    query: modelQuery,
    answers: { 204: { description: "Removed." } },
    faults: ["not_found"],
    handle: remove,
  }),
];

async function set({ deps, caller, body, requestId }: Call<unknown, unknown, z.output<typeof modelQuotaBodySchema>>): Promise<Answer> {
  const { tenant, principal } = caller;
  const { model, requests = null, tokens = null, windowSeconds } = body;
  const data = { requests, tokens, windowMs: windowSeconds * 1_000, setBy: principal.name, setAt: new Date() };
  return deps.database.$transaction(async (transaction) => {
    const others = await transaction.modelQuota.count({ where: { tenant, model: { not: model } } });
    if (others >= limits.modelQuotasMax) throw new Fault("limit", `A tenant may set ${limits.modelQuotasMax} quotas; remove one.`);
    await audit(transaction, { tenant, actor: principal.name, action: "modelQuota.set", object: model, data: body, requestId });
    const where = { tenant_model: { tenant, model } };
    return ok(view(await transaction.modelQuota.upsert({ where, create: { tenant, model, ...data }, update: data })));
  });
}

async function list({ deps, caller, query }: Call<unknown, z.output<typeof pageQuery>>): Promise<Answer> {
  const after = decodeCursor(query.cursor, 0)?.[1];
  const where = { tenant: caller.tenant, ...(after === undefined ? {} : { model: { gt: after } }) };
  const rows = await deps.database.modelQuota.findMany({ where, orderBy: { model: "asc" }, take: query.limit + 1 });
  return ok(pageOf(rows, query.limit, { item: view, cursor: ({ model }) => encodeCursor([0, model]) }));
}

async function remove({ deps, caller, query, requestId }: Call<unknown, z.output<typeof modelQuery>>): Promise<Answer> {
  const { tenant, principal } = caller;
  const { model } = query;
  await deps.database.$transaction(async (transaction) => {
    const { count } = await transaction.modelQuota.deleteMany({ where: { tenant, model } });
    if (count === 0) throw new Fault("not_found", `No quota of ${model} is set.`);
    await audit(transaction, { tenant, actor: principal.name, action: "modelQuota.remove", object: model, data: {}, requestId });
  });
  return { status: 204 };
}

const view = ({ model, requests, tokens, windowMs, setBy, setAt }: Prisma.ModelQuotaGetPayload<object>): JsonObject => ({
  model,
  requests,
  tokens,
  windowSeconds: windowMs / 1_000,
  setBy,
  setAt: setAt.toISOString(),
});
