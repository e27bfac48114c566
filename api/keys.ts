import { createHmac, randomBytes } from "node:crypto";
import { z } from "zod";
import { createdKeySchema, createKeySchema, keyPageSchema, type CreateKey } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { canonicalJson, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Prisma } from "../prisma/client.ts";
import { sha256 } from "../prisma/hash.ts";
import { decodeCursor, encodeCursor, olderThan, pageOf, placeMax } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { isUniqueViolation } from "./postgres.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const params = z.object({ id: z.string().min(1).max(255).meta({ description: "Key id." }) });

export const keyRoutes = [
  route({
    id: "createKey",
    method: "post",
    path: "/api/v2/keys",
    summary: "Make a key",
    description: "The key is in this answer and nowhere else: we keep its hash.",
    tag: "Keys",
    scope: "keys",
    body: createKeySchema,
    idempotency: "table",
    revive: (stored, call) => ({ ...(stored as JsonObject), key: secretFor(call) }),
    answers: { 201: { description: "Made.", schema: createdKeySchema, headers: ["Location"] } },
    handle: create,
  }),
  route({
    id: "listKeys",
    method: "get",
    path: "/api/v2/keys",
    summary: "Keys of the tenant, newest first",
    tag: "Keys",
    scope: "keys",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: keyPageSchema } },
    handle: list,
  }),
  route({
    id: "revokeKey",
    method: "delete",
    path: "/api/v2/keys/{id}",
    summary: "Revoke a key; it is refused within a second",
    tag: "Keys",
    scope: "keys",
    params,
    answers: { 204: { description: "Revoked, now or before." } },
    faults: ["not_found"],
    handle: revoke,
  }),
];

type Row = Prisma.ApiKeyGetPayload<object>;

async function create(call: Call<unknown, unknown, CreateKey>): Promise<Answer> {
  const { deps, caller, body } = call;
  const tenant = body.tenant ?? caller.tenant;
  if (tenant !== caller.tenant && !caller.isRoot) throw new Fault("forbidden", "Only the platform's own key makes keys for other tenants.");
  const key = secretFor(call);
  const hash = sha256(key);
  const id = `key_${hash.slice(0, 24)}`;
  const data = { id, tenant, principal: body.principal, kind: body.kind, roles: body.roles, hash, last4: key.slice(-4) };
  const row = await deps.database.apiKey.create({ data }).catch((error: unknown) => {
    if (isUniqueViolation(error)) return madeBefore(call, id);
    throw error;
  });
  return { status: 201, body: { ...view(row), key }, headers: { Location: `/api/v2/keys/${id}` } };
}

/** The same request died after the row was made and before its answer was kept. Later than that nobody is shown the key again. */
async function madeBefore({ deps }: Call, id: string): Promise<Row> {
  const row = await deps.database.apiKey.findUniqueOrThrow({ where: { id } });
  if (row.createdAt.getTime() > Date.now() - limits.idempotencyKeepMs) return row;
  throw new Fault("idempotency_mismatch", `This Idempotency-Key has made key ${id} on ${row.createdAt.toISOString()}; take a new one.`);
}

async function list({ deps, caller, query }: Call<unknown, z.output<typeof pageQuery>>): Promise<Answer> {
  const rows = await deps.database.apiKey.findMany({
    where: { AND: [{ tenant: caller.tenant }, olderThan("createdAt", decodeCursor(query.cursor, placeMax.time))] },
    orderBy: [{ createdAt: "desc" }, { id: "asc" }],
    take: query.limit + 1,
  });
  return ok(pageOf(rows, query.limit, { item: view, cursor: (row) => encodeCursor([row.createdAt.getTime(), row.id]) }));
}

async function revoke({ deps, caller, params: { id } }: Call<{ id: string }>): Promise<Answer> {
  const where = { id, ...(caller.isRoot ? {} : { tenant: caller.tenant }) };
  const row = await deps.database.apiKey.findFirst({ where });
  if (!row) throw new Fault("not_found", `No key ${id}.`);
  await deps.database.apiKey.updateMany({ where: { ...where, revokedAt: null }, data: { revokedAt: new Date() } });
  return { status: 204 };
}

/**
 * With an Idempotency-Key the key is derived from it, so that a repetition can show the same one although it is stored nowhere.
 * Also from who asks and for what: whoever else sends the same Idempotency-Key gets another key. Only who knows the platform's own
 * key could compute it.
 */
function secretFor({ deps, caller, body, idempotencyKey }: Call): string {
  const platformKey = deps.settings.TENUTO_API_KEY;
  const { tenant, principal } = caller;
  const bytes =
    idempotencyKey === undefined || platformKey === undefined
      ? randomBytes(32)
      : createHmac("sha256", platformKey)
          .update(canonicalJson(["key", tenant, principal.name, principal.kind, idempotencyKey, body as Json]))
          .digest();
  return `tnt_${bytes.toString("base64url")}`;
}

const view = (row: Row): { [field: string]: Json } => ({
  id: row.id,
  tenant: row.tenant,
  principal: row.principal,
  kind: row.kind,
  roles: row.roles,
  last4: row.last4,
  createdAt: row.createdAt.toISOString(),
  revokedAt: row.revokedAt?.toISOString() ?? null,
});
