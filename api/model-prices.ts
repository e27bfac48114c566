import { z } from "zod";
import { modelPriceBodySchema, modelPricePageSchema, modelPriceSchema } from "../contracts/usage.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { audit } from "../prisma/audit.ts";
import type { Prisma } from "../prisma/client.ts";
import { decodeCursor, encodeCursor, pageOf } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const modelQuery = z.strictObject({ model: z.string().min(1).max(255).meta({ description: "`provider/model`" }) });

export const modelPriceRoutes = [
  route({
    id: "setModelPrice",
    method: "put",
    path: "/api/v2/model-prices",
    summary: "Say what the tenant pays for a model",
    description: "Goes before the operator's prices and the built-in list, for calls that end 30 s later or more.",
    tag: "Usage",
    scope: "tenant",
    body: modelPriceBodySchema,
    answers: { 200: { description: "The price.", schema: modelPriceSchema } },
    faults: ["limit"],
    handle: set,
  }),
  route({
    id: "listModelPrices",
    method: "get",
    path: "/api/v2/model-prices",
    summary: "Prices that the tenant has set",
    tag: "Usage",
    scope: "read",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: modelPricePageSchema } },
    handle: list,
  }),
  route({
    id: "removeModelPrice",
    method: "delete",
    path: "/api/v2/model-prices",
    summary: "Go back to the operator's price or the built-in one",
    tag: "Usage",
    scope: "tenant",
    query: modelQuery,
    answers: { 204: { description: "Removed." } },
    faults: ["not_found"],
    handle: remove,
  }),
];

async function set({ deps, caller, body, requestId }: Call<unknown, unknown, z.output<typeof modelPriceBodySchema>>): Promise<Answer> {
  const { tenant, principal } = caller;
  const { model, input, output, cacheRead = null, cacheWrite = null } = body;
  const data = { input, output, cacheRead, cacheWrite, setBy: principal.name, setAt: new Date() };
  const row = await deps.database.$transaction(async (transaction) => {
    if ((await transaction.modelPrice.count({ where: { tenant, model: { not: model } } })) >= limits.modelPricesMax)
      throw new Fault("limit", `A tenant may set ${limits.modelPricesMax} prices; remove one.`);
    await audit(transaction, { tenant, actor: principal.name, action: "modelPrice.set", object: model, data: body, requestId });
    return transaction.modelPrice.upsert({ where: { tenant_model: { tenant, model } }, create: { tenant, model, ...data }, update: data });
  });
  return ok(view(row));
}

async function list({ deps, caller, query }: Call<unknown, z.output<typeof pageQuery>>): Promise<Answer> {
  const after = decodeCursor(query.cursor, 0)?.[1];
  const rows = await deps.database.modelPrice.findMany({
    where: { tenant: caller.tenant, ...(after === undefined ? {} : { model: { gt: after } }) },
    orderBy: { model: "asc" },
    take: query.limit + 1,
  });
  return ok(pageOf(rows, query.limit, { item: view, cursor: ({ model }) => encodeCursor([0, model]) }));
}

async function remove({ deps, caller, query, requestId }: Call<unknown, z.output<typeof modelQuery>>): Promise<Answer> {
  const { tenant, principal } = caller;
  const { model } = query;
  await deps.database.$transaction(async (transaction) => {
    const { count } = await transaction.modelPrice.deleteMany({ where: { tenant, model } });
    if (count === 0) throw new Fault("not_found", `No price of ${model} is set.`);
    await audit(transaction, { tenant, actor: principal.name, action: "modelPrice.remove", object: model, data: {}, requestId });
  });
  return { status: 204 };
}

const view = ({ model, input, output, cacheRead, cacheWrite, setBy, setAt }: Prisma.ModelPriceGetPayload<object>): JsonObject => ({
  model,
  input,
  output,
  cacheRead,
  cacheWrite,
  setBy,
  setAt: setAt.toISOString(),
});
