import { isGrpcServiceError, type Client } from "@temporalio/client";
import { activityId, workflowIdOf } from "../contracts/ids.ts";
import type { ShortAnswer } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import type { Deps } from "./deps.ts";

/** Where in Temporal's histories something is told. */
export interface EventPlace {
  /** Temporal's id of the execution. */
  execution: string;
  event: number;
}

interface Wanted {
  path: string;
  attempt: number;
}

type HistoryEvent = NonNullable<
  NonNullable<Awaited<ReturnType<Client["workflowService"]["getWorkflowExecutionHistory"]>>["history"]>["events"]
>[number];

type Payloads = NonNullable<NonNullable<HistoryEvent["markerRecordedEventAttributes"]>["details"]>[string];

/** One execution's part of the chain: the events that name steps, and the execution that goes on. */
interface Part {
  events: ReadonlyMap<string, number>;
  read: number;
  next: string | undefined;
  isClosed: boolean;
}

/**
 * The history events that began these steps, as far as Temporal still knows them: read from the run's first execution
 * on, until all are found or the limit is reached. A part that can change no more is read once.
 */
export async function eventsOf(
  { temporal }: Deps,
  { tenant, run, first }: { tenant: string; run: string; first: string },
  steps: readonly Wanted[],
): Promise<Map<string, EventPlace>> {
  const found = new Map<string, EventPlace>();
  const deadline = Date.now() + limits.updateDeadlineMs;
  let left: number = limits.linkEventsMax;
  for (let execution: string | undefined = first; execution !== undefined && left > 0 && found.size < steps.length;) {
    const part: Part | undefined = await partOf(temporal, { workflowId: workflowIdOf(tenant, run), runId: execution, left, deadline });
    if (!part) break;
    for (const { path, attempt } of steps) {
      const event = part.events.get(activityId(path, attempt)) ?? part.events.get(path);
      if (event !== undefined && !found.has(path)) found.set(path, { execution, event });
    }
    left -= part.read;
    execution = part.next;
  }
  return found;
}

interface Reading {
  workflowId: string;
  runId: string;
  left: number;
  deadline: number;
}

const kept = new WeakMap<Client, Map<string, Part>>();

/** Undefined when Temporal does not know the execution any more, or does not answer: links are not worth an error. */
async function partOf(temporal: Client, reading: Reading): Promise<Part | undefined> {
  const parts = kept.get(temporal) ?? new Map<string, Part>();
  kept.set(temporal, parts);
  const known = parts.get(reading.runId);
  if (known) return known;
  try {
    const part = await temporal.withDeadline(reading.deadline, () => readPart(temporal, reading));
    if (part.isClosed) parts.set(reading.runId, part);
    if (parts.size > limits.linkExecutionsKept) parts.delete(parts.keys().next().value!);
    return part;
  } catch (error) {
    if (isGrpcServiceError(error)) return undefined;
    throw error;
  }
}

async function readPart(temporal: Client, { workflowId, runId, left }: Reading): Promise<Part> {
  const events = new Map<string, number>();
  const asides = new Map<string, number>();
  let [read, isClosed] = [0, false];
  let next: string | undefined;
  let page: Uint8Array | undefined;
  do {
    const answer = await temporal.workflowService.getWorkflowExecutionHistory({
      namespace: temporal.options.namespace,
      execution: { workflowId, runId },
      ...(page === undefined ? {} : { nextPageToken: page }),
    });
    for (const event of answer.history?.events ?? []) {
      read += 1;
      const named = nameOf(event);
      const places = named?.isAside ? asides : events;
      const names = [...(named ? [named.name] : []), ...madeAsOne(event)];
      for (const name of names) if (!places.has(name)) places.set(name, Number(event.eventId));
      next = event.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? next;
      isClosed = isLast(event);
    }
    page = answer.nextPageToken && answer.nextPageToken.length > 0 ? answer.nextPageToken : undefined;
  } while (page !== undefined && read < left);
  return { events: new Map([...asides, ...events]), read, next, isClosed };
}

/** The step that an event names: its path, for later attempts with their number. */
function nameOf(event: HistoryEvent): { name: string; isAside: boolean } | undefined {
  const [, path, more] = stepOf.exec(String(jsonOf({ payloads: [event.userMetadata?.summary ?? {}] }))) ?? [];
  if (path === undefined) return undefined;
  const id = event.activityTaskScheduledEventAttributes?.activityId;
  // A long path is cut in its summary, never in the activity's id.
  return { name: id?.startsWith(path.replace(/…$/, "")) ? id : path, isAside: more === ": " };
}

/** The steps whose short calls one marker holds, as far as they have a result. */
function madeAsOne({ markerRecordedEventAttributes: marker }: HistoryEvent): string[] {
  const { data, result } = marker?.details ?? {};
  if ((jsonOf(data) as { activity_type?: string } | undefined)?.activity_type !== "shortTools") return [];
  const answers = jsonOf(result) as ShortAnswer[];
  return answers.flatMap(({ id, next = [] }) => [id, ...next.map((each) => each.id)]).filter((id) => id !== undefined);
}

function jsonOf(payloads: Payloads | null | undefined): unknown {
  const { data, metadata } = payloads?.payloads?.[0] ?? {};
  if (!data || Buffer.from(metadata?.["encoding"] ?? "").toString() !== "json/plain") return undefined;
  return JSON.parse(Buffer.from(data).toString("utf8"));
}

/** What follows the path tells the step itself from what is done for it: its deadline, its large values. */
const stepOf = /^([A-Za-z_][\w.[\]+]*…?)($| · |: )/;

const isLast = ({
  workflowExecutionCompletedEventAttributes: completed,
  workflowExecutionFailedEventAttributes: failed,
  workflowExecutionTimedOutEventAttributes: timedOut,
  workflowExecutionCanceledEventAttributes: canceled,
  workflowExecutionTerminatedEventAttributes: terminated,
  workflowExecutionContinuedAsNewEventAttributes: continued,
}: HistoryEvent): boolean => Boolean(completed ?? failed ?? timedOut ?? canceled ?? terminated ?? continued);
