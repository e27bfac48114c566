import type { z } from "zod";
import { stepPageSchema, stepSchema } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Prisma } from "../prisma/client.ts";
import { resolve } from "../prisma/blobs.ts";
import { temporalLink } from "../temporal-config/ui.ts";
import { decodeCursor, encodeCursor, pageOf, placeMax, type Place } from "./cursor.ts";
import { runParams, stepParams, stepsQuery, waitQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { hasEnded, jsonOf, linksOf, seeRun, type SeenRun } from "./run-view.ts";
import { eventsOf } from "./step-events.ts";
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
    query: stepsQuery,
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

async function list(call: Call<{ id: string }, z.output<typeof stepsQuery>>): Promise<Answer> {
  const { deps, params, query } = call;
  const run = await seeRun(call, params.id);
  const rows = await deps.database.step.findMany({
    where: { runId: run.id, ...after(decodeCursor(query.cursor, placeMax.seq)) },
    orderBy: [{ firstSeq: "asc" }, { path: "asc" }],
    take: query.limit + 1,
  });
  const links = query.links ? await linker(call, run, rows) : undefined;
  return ok(
    pageOf(rows, query.limit, {
      item: (row) => ({ ...view(row, jsonOf(row.output)), ...(links && { links: links(row) }) }),
      cursor: (row) => encodeCursor([row.firstSeq, row.path]),
    }),
  );
}

async function get(call: Call<z.output<typeof stepParams>, { wait: number }>): Promise<Answer> {
  const { deps, caller, params, query } = call;
  const read = async () => ({ run: await seeRun(call, params.id), step: await find(call, params) });
  const isDone = ({ run, step }: Awaited<ReturnType<typeof read>>): boolean => (step ? !isAtWork(step) : hasEnded(run));
  const { run, step } = await untilDone(call, { run: params.id, seconds: query.wait, read, isDone });
  if (!step) throw new Fault("not_found", `No step ${params.path} in run ${params.id} so far.`);
  const links = await linker(call, run, [step]);
  return ok({ ...view(step, await resolve(deps.database, caller.tenant, jsonOf(step.output))), links: links(step) });
}

/** Links of these steps: Temporal is asked for them once. */
async function linker({ deps, caller: { tenant } }: Call, run: SeenRun, rows: Row[]): Promise<(row: Row) => JsonObject> {
  const ofRun = linksOf(deps.settings, { ...run, tenant });
  const events = await eventsOf(deps, { tenant, run: run.id, first: run.temporalRunId }, rows);
  return (row) => {
    const at = events.get(row.path);
    const temporal = at ? temporalLink(deps.settings, workflowIdOf(tenant, run.id), at.execution, at.event) : ofRun.temporal;
    return { self: `${ofRun.self}/steps/${encodeURIComponent(row.path)}`, run: ofRun.self, temporal };
  };
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
