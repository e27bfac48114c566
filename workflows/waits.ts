import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { parseDuration } from "../language/duration.ts";
import { momentOf } from "../language/expression/numbers.ts";
import { summaryOf } from "./calls.ts";
import type { HereOf, Outcome } from "./context.ts";
import { beforeDeadline, deadlineOf, iso } from "./deadline.ts";
import { eventName } from "./emit.ts";
import { receivedEvent, type Interest } from "./mailbox.ts";
import { runInside } from "./inside.ts";
import type { Scope } from "./scope.ts";
import { endInTime, runStream } from "./stream.ts";
import type { Walk } from "./walk.ts";

/** A durable timer. */
export async function wait(walk: Walk, here: HereOf<"wait">): Promise<Outcome> {
  const { path, attempt, context } = here;
  const noted = walk.ledger.place(path)?.["until"] as number | undefined;
  const deadline = noted ?? walk.clock.now() + (await waitMs(walk, here));
  const until = iso(walk.clock.wall(deadline));
  walk.ledger.note(path, { until: deadline });
  if (noted === undefined) walk.tell("wait.started", { path, lane: context.lane, attempt }, { type: here.step.type, until });
  const summary = await summaryOf(walk, here);
  const ms = Math.max(0, deadline - walk.clock.now());
  await walk.inspector.waiting(path, `the time ${until}`, () => walk.clock.sleep(ms, summary, context.scope));
  return { output: null };
}

async function waitMs(walk: Walk, { step, path, context }: HereOf<"wait">): Promise<number> {
  if (step.duration) return parseDuration(await walk.value(step.duration, context.frame));
  const until = await walk.value(step.until!, context.frame);
  const at = typeof until === "number" ? until : typeof until === "string" ? momentOf(until) : Number.NaN;
  if (!(Math.abs(at) <= timeMax))
    throw new Fault(
      "expression",
      `\`until\` of ${path} must be an ISO 8601 time with a zone, or milliseconds since 1970; it is ${JSON.stringify(until)}.`,
      { instance: path },
    );
  return Math.max(0, at - walk.port.now());
}

/** What a `listen` notes: what it waits for, until when, since which event, and its place among those that listen. */
type Listening = {
  names: string[];
  since: number;
  openedAt?: number;
  order: number;
  deadline?: number;
  received: JsonObject;
  isOver?: boolean;
};

/** Wait for one event, the first of several, or all of them; or handle one after the other. */
export async function listen(walk: Walk, here: HereOf<"listen">): Promise<Outcome> {
  const { step, path } = here;
  const state = (walk.ledger.place(path)?.["listen"] as Listening | undefined) ?? (await openListen(walk, here));
  const interests = step.events.map((wanted, index): Interest => ({ ...wanted, event: state.names[index]! }));
  const names = state.names.join(step.mode === "all" ? " and " : " or ");
  const { stream } = step;
  const heard = await (stream ? runStream(walk, here, { stream, interests, state }) : heardBefore(walk, here, { state, interests, names }));
  if (heard !== undefined) return { output: heard };
  endInTime(walk, here, state);
  if (!step.onTimeout) throw new Fault("timeout", `No event ${names} came in time.`, { instance: path });
  return { output: await runInside(walk, here, ".onTimeout", step.onTimeout) };
}

async function openListen(walk: Walk, here: HereOf<"listen">): Promise<Listening> {
  const { step, path, attempt, context } = here;
  const names: string[] = [];
  for (const { event } of step.events) names.push(await eventName(walk, event, here));
  const deadline = await deadlineOf(walk, step.timeout, here);
  const [since, opened] = step.early === "ignore" ? [walk.mailbox.now, { openedAt: walk.port.now() }] : [0, {}];
  const state: Listening = {
    names,
    since,
    ...opened,
    order: walk.mailbox.open(),
    received: {},
    ...(deadline === undefined ? {} : { deadline }),
  };
  walk.ledger.note(path, { listen: state });
  const told: JsonObject = deadline === undefined ? {} : { until: iso(walk.clock.wall(deadline)) };
  walk.tell("listen.started", { path, lane: context.lane, attempt }, { type: step.type, events: names, ...told });
  // Until it is in the record, who sends an event to all that wait for it does not find this run.
  walk.journal.hurry();
  return state;
}

interface Listened {
  state: Listening;
  interests: Interest[];
  names: string;
}

/** What came in time. */
function heardBefore(walk: Walk, here: HereOf<"listen">, listened: Listened): Promise<Json | undefined> {
  const { state, names } = listened;
  if (state.isOver) return Promise.resolve(undefined);
  return walk.inspector.waiting(here.path, `event ${names}`, () =>
    beforeDeadline(walk, here, state.deadline, (scope) => take(walk, here, { ...listened, scope })),
  );
}

async function take(walk: Walk, here: HereOf<"listen">, { state, interests, scope }: Listened & { scope: Scope }): Promise<Json> {
  const { step, path, attempt, context } = here;
  const { received, since, order, openedAt = 0 } = state;
  const wanted = new Set(interests.filter(({ as }) => !Object.hasOwn(received, as)));
  for (;;) {
    const { event, interest } = await walk.mailbox.next([...wanted], { frame: context.frame, scope, since, order, openedAt });
    const ordinal = interests.length - wanted.size;
    wanted.delete(interest);
    const waitsFor = step.mode === "all" ? [...wanted].map((other) => other.event) : [];
    walk.tell("event.received", { path, lane: context.lane, attempt, ordinal }, { ...receivedEvent(event), waitsFor });
    if (step.mode !== "all") return receivedEvent(event);
    received[interest.as] = receivedEvent(event);
    if (wanted.size === 0) return received;
    // What is half heard a retry hears again, should nothing else be recorded before the run is cut off.
    walk.journal.hurry();
  }
}

// The last moment that JavaScript and ISO 8601 with four digits can both tell.
const timeMax = Date.UTC(9999, 11, 31);
