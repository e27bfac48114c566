import { z } from "zod";
import { runPageSchema, runSchema } from "../contracts/api.schema.ts";
import { runStatuses } from "../contracts/events.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { mayHaveEnded } from "../contracts/messages.ts";
import type { Prisma } from "../prisma/client.ts";
import { resolve } from "../prisma/blobs.ts";
import { decodeCursor, encodeCursor, olderThan, pageOf, placeMax } from "./cursor.ts";
import { runParams, runsQuery, waitQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { hasEnded, jsonOf, rowOf, seeRun, type SeenRun } from "./run-view.ts";
import { totalsOfRun } from "./usage.ts";
import { untilDone } from "./waiting.ts";

const listQuery = runsQuery.extend({ status: z.enum(runStatuses).optional() });

export const runRoutes = [
  route({
    id: "listRuns",
    method: "get",
    path: "/api/v2/runs",
    summary: "Runs, newest first",
    tag: "Runs",
    scope: "read",
    query: listQuery,
    answers: { 200: { description: "A page.", schema: runPageSchema } },
    handle: list,
  }),
  route({
    id: "getRun",
    method: "get",
    path: "/api/v2/runs/{id}",
    summary: "One run; with `wait` as soon as it has ended",
    tag: "Runs",
    scope: "read",
    params: runParams,
    query: waitQuery,
    answers: { 200: { description: "The run.", schema: runSchema } },
    faults: ["not_found"],
    handle: get,
  }),
];

async function list(call: Call<unknown, z.output<typeof listQuery>>): Promise<Answer> {
  const { deps, caller, query } = call;
  const place = decodeCursor(query.cursor, placeMax.time);
  const rows = await deps.database.run.findMany({
    where: { AND: [{ tenant: caller.tenant, ...filterOf(query) }, olderThan("startedAt", place)] },
    orderBy: [{ startedAt: "desc" }, { id: "asc" }],
    take: query.limit + 1,
    omit: { input: true, output: true, error: true, passedErrors: true, waitingFor: true, holds: true },
  });
  return ok(
    pageOf(rows, query.limit, { item: (row) => rowOf(call, row), cursor: (row) => encodeCursor([row.startedAt.getTime(), row.id]) }),
  );
}

function filterOf({
  status,
  workflow,
  version,
  parentId,
  retryOf,
  forkOf,
  startedAfter,
  startedBefore,
}: z.output<typeof listQuery>): Prisma.RunWhereInput {
  const startedAt = {
    ...(startedAfter !== undefined && { gt: new Date(startedAfter) }),
    ...(startedBefore !== undefined && { lt: new Date(startedBefore) }),
  };
  return {
    ...(status !== undefined && { status }),
    ...(workflow !== undefined && { workflow }),
    ...(version !== undefined && { version }),
    ...(parentId !== undefined && { parentId }),
    ...(retryOf !== undefined && { retryOf }),
    ...(forkOf !== undefined && { forkOf }),
    ...(Object.keys(startedAt).length > 0 && { startedAt }),
  };
}

async function get(call: Call<{ id: string }, { wait: number }>): Promise<Answer> {
  const { id } = call.params;
  const read = (): Promise<SeenRun> => seeRun(call, id);
  const run = await untilDone(call, { run: id, seconds: call.query.wait, isWorthIt: mayHaveEnded, read, isDone: hasEnded });
  return ok(await detailsOf(call, run));
}

async function detailsOf(call: Call, run: SeenRun): Promise<JsonObject> {
  const { deps, caller } = call;
  const [input, output, usage, retries, forks] = await Promise.all([
    resolve(deps.database, caller.tenant, jsonOf(run.input)),
    resolve(deps.database, caller.tenant, jsonOf(run.output)),
    usageOf(call, run.id),
    descendants(call, { retryOf: run.id }),
    descendants(call, { forkOf: run.id }),
  ]);
  return {
    ...rowOf(call, run),
    input,
    output,
    error: jsonOf(run.error),
    passedErrors: jsonOf(run.passedErrors),
    waitingFor: jsonOf(run.waitingFor),
    holds: run.holds === null ? [] : jsonOf(run.holds),
    retries,
    forks,
    usage,
  };
}

async function descendants({ deps, caller }: Call, of: { retryOf: string } | { forkOf: string }): Promise<string[]> {
  const where = { tenant: caller.tenant, ...of };
  const rows = await deps.database.run.findMany({
    where,
    select: { id: true },
    orderBy: { startedAt: "desc" },
    take: limits.lineageRowsMax,
  });
  return rows.map(({ id }) => id);
}

async function usageOf(call: Call, runId: string): Promise<JsonObject> {
  const { inputTokens = 0, outputTokens = 0, calls = 0, costUsd = 0 } = await totalsOfRun(call, runId);
  return { inputTokens, outputTokens, calls, costUsd };
}
