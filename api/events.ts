import type { z } from "zod";
import { eventPageSchema } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { Prisma } from "../prisma/client.ts";
import type { Deps } from "./deps.ts";
import { pageOf } from "./cursor.ts";
import { eventsQuery, runParams } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { hasEnded, seeRun } from "./run-view.ts";
import { streamEvents } from "./stream.ts";

export const eventRoutes = [
  route({
    id: "listEvents",
    method: "get",
    path: "/api/v2/runs/{id}/events",
    summary: "A run's log: a page, or live with `Accept: text/event-stream`",
    description:
      "As a stream each entry has its number as `id`, its type as `event` and itself as `data`. It goes on after `Last-Event-ID` (or `after`) and ends with the run; 204 then tells an EventSource to stay away. Entries without `id` (`model.delta`, `model.reset`) are words of streamed answers as they come; they are not kept.",
    tag: "Runs",
    scope: "read",
    params: runParams,
    query: eventsQuery,
    answers: {
      200: { description: "A page, or the stream.", schema: eventPageSchema, mediaType: "text/event-stream" },
      204: { description: "Only for streams: the run has ended and there is nothing after that number." },
    },
    faults: ["not_found"],
    handle: get,
  }),
];

type EventsCall = Call<{ id: string }, z.output<typeof eventsQuery>>;
/** An event as clients see it. */
export type LoggedEvent = JsonObject & { seq: number; type: string };

type Row = Prisma.EventGetPayload<object>;

async function get(call: EventsCall): Promise<Answer> {
  const run = await seeRun(call, call.params.id);
  if (call.request.accepts("application/json", "text/event-stream") !== "text/event-stream") return page(call);
  const after = lastSeenBy(call);
  if (hasEnded(run) && run.lastSeq <= after && run.lastSeq > 0) return { status: 204 };
  return streamEvents(call, { run: run.id, after, read: (seq, limit) => readEvents(call.deps, run.id, { after: seq, limit }) });
}

async function page({ deps, params, query }: EventsCall): Promise<Answer> {
  const rows = await readEvents(deps, params.id, { after: query.after ?? 0, limit: query.limit + 1 });
  return ok(pageOf(rows, query.limit, { item: (event) => event, cursor: (event) => String(event.seq) }));
}

/** Events in the order of their numbers. The log has no gap, so that a reader that counts on misses none. */
async function readEvents({ database }: Deps, runId: string, { after, limit }: { after: number; limit: number }): Promise<LoggedEvent[]> {
  const rows = await database.event.findMany({ where: { runId, seq: { gt: after } }, orderBy: { seq: "asc" }, take: limit });
  return rows.map(view);
}

// A browser that reconnects sends the header with the address it began with: the header is newer.
function lastSeenBy({ request, query }: EventsCall): number {
  const header = request.get("Last-Event-ID");
  if (header === undefined || header === "") return query.after ?? 0;
  if (!/^\d{1,9}$/.test(header)) throw new Fault("bad_request", "Last-Event-ID must be the number of an event.");
  return Number(header);
}

const view = (row: Row): LoggedEvent => ({
  seq: row.seq,
  type: row.type,
  time: row.time.toISOString(),
  step: row.step,
  data: row.data as JsonObject,
});
