import { z } from "zod";
import { auditPageSchema } from "../contracts/api.schema.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Prisma } from "../prisma/client.ts";
import { decodeCursor, encodeCursor, pageOf } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const name = z.string().min(1).max(255).optional();
const auditQuery = pageQuery.extend({ action: name, object: name });

export const auditRoutes = [
  route({
    id: "listAudit",
    method: "get",
    path: "/api/v2/audit",
    summary: "Who did what, newest first",
    description: "`definition.paused` by `auto-pause` is the platform's own notice that a workflow has paused itself.",
    tag: "Audit",
    scope: "tenant",
    query: auditQuery,
    answers: { 200: { description: "A page.", schema: auditPageSchema } },
    handle: list,
  }),
];

async function list({ deps, caller, query }: Call<unknown, z.output<typeof auditQuery>>): Promise<Answer> {
  const { action, object, cursor, limit } = query;
  const before = decodeCursor(cursor, Number.MAX_SAFE_INTEGER)?.[0];
  const rows = await deps.database.audit.findMany({
    where: {
      tenant: caller.tenant,
      ...(action === undefined ? {} : { action }),
      ...(object === undefined ? {} : { object }),
      ...(before === undefined ? {} : { id: { lt: BigInt(before) } }),
    },
    orderBy: { id: "desc" },
    take: limit + 1,
  });
  return ok(pageOf(rows, limit, { item: view, cursor: (row) => encodeCursor([Number(row.id), ""]) }));
}

const view = ({ id, time, actor, action, object, data, requestId }: Prisma.AuditGetPayload<object>): JsonObject => ({
  id: String(id),
  time: time.toISOString(),
  actor,
  action,
  object,
  data: data as Json,
  requestId,
});
