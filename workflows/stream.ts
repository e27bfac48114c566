import { jsonBytes, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Stream } from "../language/plan.ts";
import type { HereOf } from "./context.ts";
import { beforeDeadline } from "./deadline.ts";
import { Frame } from "./frame.ts";
import { inside } from "./inside.ts";
import { COUNTER, isEnd } from "./ledger.ts";
import { receivedEvent, type Interest } from "./mailbox.ts";
import { Canceled, type Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** What a stream notes under its counter, changed in place. It stays when the step is tried again, as a loop's does. */
type Place = {
  /** Events before this one were taken or did not fit. */
  since: number;
  /** The number of the next event. */
  next: number;
  /** Events that are being handled, by number. */
  open: { [number: string]: JsonObject };
  last: Json;
  exports: JsonObject;
  /** `until` was true. */
  isMet?: boolean;
};

interface Listening {
  stream: Stream;
  interests: Interest[];
  state: { names: string[]; since: number; openedAt?: number; order: number; deadline?: number; isOver?: boolean };
}

interface Streaming extends Listening {
  walk: Walk;
  here: HereOf<"listen">;
  place: Place;
  /** Of all handling. */
  scope: Scope;
  /** Of waiting for further events. */
  taking: Scope;
  running: Set<Promise<void>>;
  defects: unknown[];
}

/**
 * Handle each event at `path[n]`, at most `concurrency` at once, until `until` is true after one of them or the time has
 * passed; what has begun by then is finished. Gives the output of the handling that ended last. Undefined when the time
 * passed before `until` was true or, without `until`, when `onTimeout` stands in for the output.
 */
export async function runStream(walk: Walk, here: HereOf<"listen">, listening: Listening): Promise<Json | undefined> {
  const { step, path, context } = here;
  const place = placeOf(walk, here, listening.state.since);
  Object.assign(context.exports, place.exports);
  await context.scope.within(async (scope) => {
    const streaming = { ...listening, walk, here, place, scope, taking: scope.below(), running: new Set<Promise<void>>(), defects: [] };
    goOn(streaming);
    await takeAll(streaming);
    await Promise.all(streaming.running);
    const [defect] = streaming.defects;
    const error = defect ?? walk.ledger.thrown(walk.ledger.firstThrown(slots(path, place)) ?? "");
    if (error !== undefined) throw error;
  });
  context.scope.throwIfCanceled();
  const isCut = !place.isMet && (step.onTimeout !== undefined || listening.stream.until !== undefined);
  return isCut ? undefined : place.last;
}

function placeOf(walk: Walk, { path }: HereOf<"listen">, since: number): Place {
  const counter = `${path}${COUNTER}`;
  const known = walk.ledger.place(counter)?.["stream"] as Place | undefined;
  const place = known ?? { since, next: 0, open: {}, last: null, exports: {} };
  walk.ledger.note(counter, { stream: place });
  return place;
}

/** What an execution before this one, or an attempt before this one, had begun. */
function goOn(streaming: Streaming): void {
  const { walk, here, place, scope } = streaming;
  if (walk.ledger.firstThrown(slots(here.path, place)) !== undefined) scope.cancel(failed);
  for (const [number, event] of Object.entries(place.open))
    if (!walk.ledger.thrown(`${here.path}[${number}]`)) begin(streaming, Number(number), { event, isNew: false });
}

async function takeAll(streaming: Streaming): Promise<void> {
  const { walk, here, place, state, taking } = streaming;
  if (place.isMet || state.isOver) return;
  try {
    await beforeDeadline(walk, { ...here, context: { ...here.context, scope: taking } }, state.deadline, (scope) => take(streaming, scope));
    endInTime(walk, here, state);
  } catch (error) {
    // Whoever cancelled it has said why; a `when` that fails is the failure of the event it was asked about.
    if (!(error instanceof Canceled)) fail(streaming, place.next, error);
  }
}

async function take(streaming: Streaming, scope: Scope): Promise<never> {
  const { walk, here, stream, interests, place, state, running } = streaming;
  const what = `event ${state.names.join(" or ")}`;
  for (;;) {
    while (running.size >= stream.concurrency || (running.size > 0 && jsonBytes(place.open) > limits.streamBytesMax))
      await Promise.race(running);
    scope.throwIfCanceled();
    const options = { frame: here.context.frame, scope, since: place.since, order: state.order, openedAt: state.openedAt ?? 0 };
    const { event, number } = await walk.inspector.waiting(here.path, what, () => walk.mailbox.next(interests, options));
    place.since = number + 1;
    const received = receivedEvent(event);
    place.open[place.next] = received;
    begin(streaming, place.next++, { event: received, isNew: true });
  }
}

function begin(streaming: Streaming, number: number, taken: { event: JsonObject; isNew: boolean }): void {
  const { running } = streaming;
  const handling = handle(streaming, number, taken)
    .catch((error: unknown) => fail(streaming, number, error))
    .finally(() => running.delete(handling));
  running.add(handling);
}

async function handle(streaming: Streaming, number: number, { event, isNew }: { event: JsonObject; isNew: boolean }): Promise<void> {
  const { walk, here, stream, state, place, scope } = streaming;
  const { path, attempt, context } = here;
  const exports: JsonObject = {};
  const last = await walk.journal.inLane(context.lane, (lane) => {
    const data = { ...event, waitsFor: state.names };
    if (isNew) walk.tell("event.received", { path, lane, attempt, ordinal: number }, data);
    return walk.block(stream.body, { ...inside(here, `[${number}]`, { names: { [stream.as]: event } }), scope, lane, exports });
  });
  const isLast = stream.until !== undefined && (await walk.condition(stream.until, new Frame(context.frame, { event, last })));
  Object.assign(context.exports, exports);
  Object.assign(place, { last, exports: { ...context.exports } });
  delete place.open[number];
  walk.ledger.drop(`${path}[${number}]`);
  walk.ledger.progress += 1;
  if (isLast) meet(streaming);
}

function meet({ walk, here: { path, attempt, context }, place, taking }: Streaming): void {
  if (place.isMet) return;
  place.isMet = true;
  taking.cancel("its `until` was true");
  walk.tell("listen.ended", { path, lane: context.lane, attempt }, { why: "until" });
}

function fail({ walk, here, scope, defects }: Streaming, number: number, error: unknown): void {
  if (isEnd(error)) walk.ledger.throw(`${here.path}[${number}]`, error);
  else defects.push(error);
  scope.cancel(failed);
}

const failed = "an event could not be handled";

/** Where errors of the events that are not handled yet are noted, and that of a `when`. */
const slots = (path: string, { open, next }: Place): string[] => [...Object.keys(open), next].map((number) => `${path}[${number}]`);

/** Its time has passed: it waits for nothing more. */
export function endInTime(walk: Walk, { path, attempt, context }: HereOf<"listen">, state: { isOver?: boolean }): void {
  if (state.isOver) return;
  state.isOver = true;
  walk.tell("listen.ended", { path, lane: context.lane, attempt }, { why: "timeout" });
}
