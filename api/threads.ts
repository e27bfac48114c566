import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { exchangePageSchema, threadPageSchema } from "../contracts/memory.schema.ts";
import { removeThread, threadsOf, type Exchange, type ThreadRow } from "../prisma/threads.ts";
import { decodeCursor, encodeCursor, pageOf, placeMax } from "./cursor.ts";
import { memoryOwner, ownerParams } from "./memories.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const threadParams = ownerParams.extend({ thread: z.string().min(1).max(limits.threadNameMax) });

const of = { tag: "Memory", scope: "read" as const, params: ownerParams, faults: ["not_found" as const] };
const threads = "/api/v2/agents/{name}/threads" as const;

export const threadRoutes = [
  route({
    ...of,
    id: "listThreads",
    method: "get",
    path: threads,
    summary: "The conversations that an agent's tasks go on with, by name",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: threadPageSchema } },
    handle: list,
  }),
  route({
    ...of,
    id: "getThread",
    method: "get",
    path: `${threads}/{thread}`,
    summary: "What was asked and answered in a thread, newest first",
    params: threadParams,
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: exchangePageSchema } },
    handle: get,
  }),
  route({
    ...of,
    id: "removeThread",
    method: "delete",
    path: `${threads}/{thread}`,
    summary: "Let an agent forget a conversation",
    description: "What runs were told of it before stands in those runs.",
    scope: "publish",
    params: threadParams,
    answers: { 204: { description: "Forgotten." } },
    handle: remove,
  }),
];

type Named = { name: string };
type Page = z.output<typeof pageQuery>;
type Given = z.output<typeof threadParams>;

async function list(call: Call<Named, Page>): Promise<Answer> {
  const { limit, cursor } = call.query;
  const rows = await threadsOf(call.deps.database, await memoryOwner(call), { after: decodeCursor(cursor, 0)?.[1], take: limit + 1 });
  return ok(pageOf(rows, limit, { item: summaryView, cursor: ({ thread }) => encodeCursor([0, thread]) }));
}

async function get(call: Call<Given, Page>): Promise<Answer> {
  const { deps, params: given, query } = call;
  const before = decodeCursor(query.cursor, placeMax.seq)?.[0];
  const where = { ...(await memoryOwner(call)), thread: given.thread, ...(before === undefined ? {} : { number: { lt: before } }) };
  const rows = await deps.database.exchange.findMany({ where, orderBy: { number: "desc" }, take: query.limit + 1 });
  if (rows.length === 0 && before === undefined) throw new Fault("not_found", `${given.name} has no thread ${given.thread}.`);
  return ok(pageOf(rows, query.limit, { item: exchangeView, cursor: ({ number }) => encodeCursor([number, ""]) }));
}

async function remove(call: Call<Given>): Promise<Answer> {
  const { deps, caller, params, requestId } = call;
  await removeThread(deps.database, { ...(await memoryOwner(call)), thread: params.thread }, caller.principal.name, requestId);
  return { status: 204 };
}

const summaryView = ({ thread, exchanges, lastAt }: ThreadRow): JsonObject => ({ thread, exchanges, lastAt: lastAt.toISOString() });

const exchangeView = ({ number, asked, answered, runId, path, at }: Exchange): JsonObject => ({
  number,
  asked,
  answered,
  runId,
  step: path,
  at: at.toISOString(),
});
