import type { z } from "zod";
import { stepPageSchema, stepSchema } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Prisma } from "../prisma/client.ts";
import { resolve } from "../prisma/blobs.ts";
import { decodeCursor, encodeCursor, pageOf, placeMax, type Place } from "./cursor.ts";
import { pageQuery, runParams, stepParams, waitQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { hasEnded, jsonOf, seeRun } from "./run-view.ts";
import { untilDone } from "./waiting.ts";

export const stepRoutes = [
  route({
    id: "listSteps",
    method: "get",
    path: "/api/v2/runs/{id}/steps",
    summary: "Steps of a run, in the order of their first event",
    tag: "Runs",
    scope: "read",
    params: runParams,
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: stepPageSchema } },
    faults: ["not_found"],
    handle: list,
  }),
  route({
    id: "getStep",
    method: "get",
    path: "/api/v2/runs/{id}/steps/{path}",
    summary: "One step and its result, also while the run goes on",
    tag: "Runs",
    scope: "read",
    params: stepParams,
    query: waitQuery,
    answers: { 200: { description: "The step.", schema: stepSchema } },
    faults: ["not_found"],
    handle: get,
  }),
];

type Row = Prisma.StepGetPayload<object>;

async function list(call: Call<{ id: string }, z.output<typeof pageQuery>>): Promise<Answer> {
  const { deps, params, query } = call;
  const run = await seeRun(call, params.id);
  const rows = await deps.database.step.findMany({
    where: { runId: run.id, ...after(decodeCursor(query.cursor, placeMax.seq)) },
    orderBy: [{ firstSeq: "asc" }, { path: "asc" }],
    take: query.limit + 1,
  });
  return ok(
    pageOf(rows, query.limit, { item: (row) => view(row, jsonOf(row.output)), cursor: (row) => encodeCursor([row.firstSeq, row.path]) }),
  );
}

async function get(call: Call<z.output<typeof stepParams>, { wait: number }>): Promise<Answer> {
  const { deps, caller, params, query } = call;
  const read = async () => ({ run: await seeRun(call, params.id), step: await find(call, params) });
  const isDone = ({ run, step }: Awaited<ReturnType<typeof read>>): boolean => (step ? !isAtWork(step) : hasEnded(run));
  const { step } = await untilDone(call, { run: params.id, seconds: query.wait, read, isDone });
  if (!step) throw new Fault("not_found", `No step ${params.path} in run ${params.id} so far.`);
  return ok(view(step, await resolve(deps.database, caller.tenant, jsonOf(step.output))));
}

const find = ({ deps }: Call, { id, path }: { id: string; path: string }): Promise<Row | null> =>
  deps.database.step.findUnique({ where: { runId_path: { runId: id, path } } });

const isAtWork = ({ status }: Row): boolean => status === "running" || status === "waiting";

function after(place: Place | undefined): Prisma.StepWhereInput {
  if (!place) return {};
  const [firstSeq, path] = place;
  return { firstSeq: { gte: firstSeq }, OR: [{ firstSeq: { gt: firstSeq } }, { path: { gt: path } }] };
}

const view = (row: Row, output: Json): JsonObject => ({
  path: row.path,
  type: row.type,
  status: row.status,
  attempt: row.attempt,
  output,
  error: jsonOf(row.error),
  usage: jsonOf(row.usage),
  reusedFrom: row.reusedFrom,
  startedAt: row.startedAt.toISOString(),
  endedAt: row.endedAt?.toISOString() ?? null,
});
