import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isMemoryTtl } from "../contracts/agents.ts";
import { Fault } from "../contracts/faults.ts";
import { queues } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { defaults, limits } from "../contracts/limits.ts";
import {
  addMemorySchema,
  foundMemoriesSchema,
  memoryPageSchema,
  memorySchema,
  purgedSchema,
  purgeMemoriesSchema,
  type AddMemory,
  type PurgeMemories,
} from "../contracts/memory.schema.ts";
import { workflowTypes, type Meaning, type MemorySearch } from "../contracts/messages.ts";
import { parseDuration } from "../language/duration.ts";
import { currentOf } from "../prisma/agents.ts";
import { hashOf } from "../prisma/hash.ts";
import { forgetMemory, purgeMemories, remember, searchMemories, type Memory } from "../prisma/memories.ts";
import { hasEmbedded } from "../prisma/vectors.ts";
import { decodeCursor, encodeCursor, olderThan, pageOf, placeMax } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

export const ownerParams = z.object({
  name: z.string().min(1).max(1_024).meta({
    description: "A published agent; `{workflow}/{path}`, URL-encoded, of a step without one; its path without numbers of items.",
  }),
});
const memoryParams = ownerParams.extend({ id: z.string().min(1).max(255) });
const subject = z.string().min(1).max(limits.memorySubjectMax).optional().meta({ description: "Only what is about it." });
const listQuery = pageQuery.extend({ subject });
const searchQuery = z.strictObject({
  text: z
    .string()
    .min(1)
    .max(limits.memoryQueryMax)
    .meta({ description: "Words, of which a memory has at least one; or what it means, where a model embeds." }),
  subject,
  limit: z.coerce.number().int().min(1).max(limits.memoriesFoundMax).default(10),
});

const of = { tag: "Memory", scope: "read" as const, params: ownerParams, faults: ["not_found" as const] };
const memories = "/api/v2/agents/{name}/memories" as const;

export const memoryRoutes = [
  route({
    ...of,
    id: "listMemories",
    method: "get",
    path: memories,
    summary: "What an agent remembers, newest first",
    query: listQuery,
    answers: { 200: { description: "A page.", schema: memoryPageSchema } },
    handle: list,
  }),
  route({
    ...of,
    id: "searchMemories",
    method: "get",
    path: `${memories}/search`,
    summary: "What an agent remembers that shares words with a text or means alike, best first",
    query: searchQuery,
    answers: { 200: { description: "As many as fit best.", schema: foundMemoriesSchema } },
    handle: search,
  }),
  route({
    ...of,
    id: "addMemory",
    method: "post",
    path: memories,
    summary: "Let an agent remember something",
    scope: "publish",
    body: addMemorySchema,
    idempotency: "table",
    answers: { 201: { description: "Remembered.", schema: memorySchema } },
    faults: ["not_found", "limit"],
    handle: add,
  }),
  route({
    ...of,
    id: "purgeMemories",
    method: "post",
    path: `${memories}/purge`,
    summary: "Let an agent forget all it remembers, or all about a subject",
    description: "What runs were told of it before stands in those runs.",
    scope: "publish",
    body: purgeMemoriesSchema,
    idempotency: "table",
    answers: { 200: { description: "Forgotten.", schema: purgedSchema } },
    handle: purge,
  }),
  route({
    ...of,
    id: "forgetMemory",
    method: "delete",
    path: `${memories}/{id}`,
    summary: "Let an agent forget something",
    scope: "publish",
    params: memoryParams,
    answers: { 204: { description: "Forgotten." } },
    handle: forget,
  }),
];

type Named = { name: string };

async function list(call: Call<Named, z.output<typeof listQuery>>): Promise<Answer> {
  const { deps, query } = call;
  const owner = await memoryOwner(call);
  const rows = await deps.database.memory.findMany({
    where: {
      ...owner,
      ...(query.subject === undefined ? {} : { subject: query.subject }),
      expiresAt: { gt: new Date() },
      ...olderThan("writtenAt", decodeCursor(query.cursor, placeMax.time)),
    },
    orderBy: [{ writtenAt: "desc" }, { id: "asc" }],
    take: query.limit + 1,
  });
  return ok(pageOf(rows, query.limit, { item: view, cursor: ({ writtenAt, id }) => encodeCursor([writtenAt.getTime(), id]) }));
}

async function search(call: Call<Named, z.output<typeof searchQuery>>): Promise<Answer> {
  const { text, subject: about, limit } = call.query;
  const owner = await memoryOwner(call);
  const meaning = await meaningOf(call, { ...owner, text });
  const found = await searchMemories(call.deps.database, { ...owner, subject: about }, { text, meaning, max: limit });
  return ok({ data: found.map((memory) => ({ ...view(memory), rank: memory.rank })), byMeaning: meaning !== undefined });
}

/** Only workers know models: one of them is asked. Where none answers in time, words have to do. */
async function meaningOf({ deps }: Call<unknown, unknown>, search: MemorySearch): Promise<Meaning | undefined> {
  if (!(await hasEmbedded(deps.database, search))) return undefined;
  const args: [MemorySearch] = [search];
  const workflow = {
    workflowId: `embed.${search.tenant}.${randomUUID()}`,
    taskQueue: queues.runs,
    args,
    workflowExecutionTimeout: limits.embedAnswerMs,
  };
  try {
    const asked = () => deps.temporal.workflow.execute<(search: MemorySearch) => Promise<Meaning | null>>(workflowTypes.embed, workflow);
    return (await deps.temporal.withDeadline(Date.now() + limits.embedAnswerMs, asked)) ?? undefined;
  } catch (error) {
    deps.log.debug({ error }, "a search goes by words alone");
    return undefined;
  }
}

async function add(call: Call<Named, unknown, AddMemory>): Promise<Answer> {
  const { deps, caller, body, requestId } = call;
  const { text, subject: about, ttl } = body;
  const ttlMs = ttl === undefined ? defaults.memoryTtlMs : ttlOf(ttl);
  const owner = await memoryOwner(call);
  const by = { writtenBy: caller.principal.name, requestId, key: `api:${keyOf(call, owner.agent)}` };
  return { status: 201, body: view(await remember(deps.database, { ...owner, ...by, text, subject: about, ttlMs })) };
}

/** Written, and its answer lost: the same request finds it. */
const keyOf = ({ idempotencyKey, caller: { principal }, body }: Call, agent: string): string =>
  idempotencyKey === undefined ? randomUUID() : hashOf([agent, principal.name, principal.kind, idempotencyKey, body as Json]);

async function purge(call: Call<Named, unknown, PurgeMemories>): Promise<Answer> {
  const { deps, caller, body, requestId } = call;
  const by = { by: caller.principal.name, requestId };
  return ok({ forgotten: await purgeMemories(deps.database, { ...(await memoryOwner(call)), subject: body.subject, ...by }) });
}

async function forget(call: Call<z.output<typeof memoryParams>>): Promise<Answer> {
  const { deps, caller, params: given, requestId } = call;
  const by = { by: caller.principal.name, requestId };
  const wasThere = await forgetMemory(deps.database, given.id, { ...(await memoryOwner(call)), ...by });
  if (!wasThere) throw new Fault("not_found", `${given.name} remembers nothing under ${given.id}.`);
  return { status: 204 };
}

/** A published agent of the tenant, or a step of one of its workflows. Fault `not_found`. */
export async function memoryOwner({ deps, caller, params: { name } }: Call<Named>): Promise<{ tenant: string; agent: string }> {
  const { tenant } = caller;
  const [workflow, step] = name.split("/", 2);
  if (step === undefined) await currentOf(deps.database, tenant, name);
  else if ((await deps.database.definition.count({ where: { tenant, name: workflow! }, take: 1 })) === 0)
    throw new Fault("not_found", `No workflow ${workflow} whose steps could remember something.`);
  return { tenant, agent: name };
}

function ttlOf(ttl: string | number): number {
  try {
    const ms = parseDuration(ttl);
    if (isMemoryTtl(ms)) return ms;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
  const message = "A duration from one minute to ten years, such as `30d`.";
  throw faultOf("schema", "The body is not as it should be.", [{ pointer: "/ttl", code: "duration", message }]);
}

const view = ({ id, text, subject: about, writtenBy, runId, path, writtenAt, expiresAt }: Memory): JsonObject => ({
  id,
  text,
  subject: about,
  writtenBy,
  runId,
  step: path,
  writtenAt: writtenAt.toISOString(),
  expiresAt: expiresAt.toISOString(),
});
