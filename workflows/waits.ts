import { Fault } from "../contracts/faults.ts";
import { approvalIdOf, effectKey, RUN_ID_PATTERN } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { ExternalEvent } from "../contracts/messages.ts";
import { parseDuration } from "../language/duration.ts";
import type { Block, Step, Template } from "../language/plan.ts";
import { decisionOutput } from "./approvals.ts";
import { summaryOf } from "./calls.ts";
import type { Here, HereOf, Outcome } from "./context.ts";
import { receivedEvent, type Interest } from "./mailbox.ts";
import { runInside } from "./inside.ts";
import type { Scope } from "./scope.ts";
import { withinTime } from "./time-limit.ts";
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
  const at = typeof until === "number" ? until : typeof until === "string" ? Date.parse(until) : Number.NaN;
  if (!(Math.abs(at) <= timeMax))
    throw new Fault("expression", `\`until\` of ${path} must be an ISO 8601 time; it is ${JSON.stringify(until)}.`, { instance: path });
  return Math.max(0, at - walk.port.now());
}

/** What a `listen` notes: what it waits for, until when, and since which event. */
type Listening = { names: string[]; since: number; deadline?: number; received: JsonObject; isOver?: boolean };

/** Wait for one event, the first of several, or all of them. */
export async function listen(walk: Walk, here: HereOf<"listen">): Promise<Outcome> {
  const { step, path } = here;
  const noted = walk.ledger.place(path)?.["listen"] as Listening | undefined;
  const state = noted ?? (await openListen(walk, here));
  const interests = step.events.map((wanted, index): Interest => ({ ...wanted, event: state.names[index]! }));
  const names = state.names.join(step.mode === "all" ? " and " : " or ");
  const received = state.isOver
    ? undefined
    : await walk.inspector.waiting(path, `event ${names}`, () =>
        beforeDeadline(walk, here, state.deadline, (scope) => take(walk, here, { state, interests, scope })),
      );
  if (received !== undefined) return { output: received };
  state.isOver = true;
  if (!step.onTimeout) throw new Fault("timeout", `No event ${names} came in time.`, { instance: path });
  return { output: await runInside(walk, here, ".onTimeout", step.onTimeout) };
}

async function openListen(walk: Walk, here: HereOf<"listen">): Promise<Listening> {
  const { step, path } = here;
  const names: string[] = [];
  for (const { event } of step.events) names.push(await eventName(walk, event, here));
  const deadline = await deadlineOf(walk, step.timeout, here);
  const since = step.early === "ignore" ? walk.mailbox.now : 0;
  const state: Listening = { names, since, received: {}, ...(deadline === undefined ? {} : { deadline }) };
  walk.ledger.note(path, { listen: state });
  tellOpen(walk, here, "listen.started", { events: names, ...until(walk, deadline) });
  return state;
}

async function take(
  walk: Walk,
  here: HereOf<"listen">,
  { state, interests, scope }: { state: Listening; interests: Interest[]; scope: Scope },
): Promise<Json> {
  const { step, path, attempt, context } = here;
  const { received, since } = state;
  const wanted = new Set(interests.filter(({ as }) => !(as in received)));
  for (;;) {
    const { event, interest } = await walk.mailbox.next([...wanted], { frame: context.frame, scope, since });
    const ordinal = interests.length - wanted.size;
    walk.tell("event.received", { path, lane: context.lane, attempt, ordinal }, { event: event.event, id: event.id });
    if (step.mode !== "all") return receivedEvent(event);
    received[interest.as] = receivedEvent(event);
    wanted.delete(interest);
    if (wanted.size === 0) return received;
  }
}

/** Send an event to another run. Its id is the step's key, so that however often it is sent it counts once. */
export async function emit(walk: Walk, here: HereOf<"emit">): Promise<Outcome> {
  const { step, path, attempt, context } = here;
  const to = await walk.value(step.to ?? { lit: null }, context.frame);
  if (typeof to !== "string")
    throw new Fault("expression", `\`to\` of ${path} must be a run's id; it is ${JSON.stringify(to)}.`, { instance: path });
  if (!runIdPattern.test(to) || to.length > 200) throw new Fault("not_found", `\`to\` of ${path} is no run's id.`, { instance: path });
  const event: ExternalEvent = {
    event: await eventName(walk, step.event, here),
    data: await walk.shrink(await walk.value(step.data, context.frame)),
    id: effectKey(walk.options.effectRoot, path),
    at: walk.port.now(),
  };
  await walk.outside(() => walk.inspector.busy(() => walk.port.send(to, event, context.scope)));
  walk.tell("event.emitted", { path, lane: context.lane, attempt }, { event: event.event, to });
  return { output: { event: event.event, id: event.id, to } };
}

/** Ask a person. The answer is bound to what was shown. */
export async function ask(walk: Walk, here: HereOf<"approval">): Promise<Outcome> {
  const { step, path, attempt, context } = here;
  const noted = walk.ledger.place(path)?.["asked"] as Asking | undefined;
  const asked = noted ?? (await openQuestion(walk, here));
  const about = { path, lane: context.lane, attempt };
  if (asked.expiredAt === undefined) {
    const decision = await walk.inspector.waiting(path, `a decision: ${asked.title}`, () =>
      beforeDeadline(walk, here, asked.deadline, (scope) => walk.approvals.wait(path, asked.assignees, { ...context, scope })),
    );
    if (decision) {
      const output = decisionOutput(decision, walk.port.now());
      walk.tell("approval.decided", about, output);
      return { output };
    }
    asked.expiredAt = iso(walk.port.now());
    walk.tell("approval.expired", about, { at: asked.expiredAt });
  }
  const data = step.onExpire ? await runInside(walk, here, ".onExpire", step.onExpire as Block) : null;
  return { output: { decision: "expired", approved: false, by: null, at: asked.expiredAt, comment: null, data } };
}

/** What an approval notes: what was asked, until when, and when nobody had answered. */
type Asking = Question & { deadline?: number; expiredAt?: string };

async function openQuestion(walk: Walk, here: HereOf<"approval">): Promise<Asking> {
  const { step, path } = here;
  const question = await questionOf(walk, here);
  const deadline = await deadlineOf(walk, step.expiresAfter, here);
  const asked: Asking = { ...question, ...(deadline === undefined ? {} : { deadline }) };
  walk.ledger.note(path, { asked });
  tellOpen(walk, here, "approval.requested", {
    id: approvalIdOf(walk.options.run.id, path),
    ...question,
    ...(deadline === undefined ? {} : { expiresAt: iso(walk.clock.wall(deadline)) }),
  });
  return asked;
}

interface Question extends JsonObject {
  title: string;
  payload: Json;
  assignees: string[];
}

async function questionOf(walk: Walk, { step, path, context }: HereOf<"approval">): Promise<Question> {
  const title = await walk.value(step.title, context.frame);
  const payload = step.payload ? await walk.shrink(await walk.value(step.payload, context.frame)) : null;
  const assignees = step.assignees ? await walk.value(step.assignees, context.frame) : [];
  const list = typeof assignees === "string" ? [assignees] : assignees;
  if (!Array.isArray(list) || !list.every((entry) => typeof entry === "string"))
    throw new Fault("expression", `\`assignees\` of ${path} must be a list of names or "role:…".`, { instance: path });
  return { title: typeof title === "string" ? title : JSON.stringify(title), payload, assignees: list as string[] };
}

/** The wait's result, or undefined when the deadline passes first. */
function beforeDeadline<T>(
  walk: Walk,
  { path, context }: Here<Step>,
  deadline: number | undefined,
  open: (scope: Scope) => Promise<T>,
): Promise<T | undefined> {
  if (deadline === undefined) return open(context.scope);
  return withinTime(walk.clock, { deadline, summary: `${path}: deadline`, scope: context.scope }, open);
}

function tellOpen(
  walk: Walk,
  { path, attempt, step, context }: Here<Step>,
  type: "listen.started" | "approval.requested",
  data: JsonObject,
): void {
  walk.tell(type, { path, lane: context.lane, attempt }, { type: step.type, ...data });
}

async function deadlineOf(walk: Walk, duration: Template | undefined, { context }: Here<Step>): Promise<number | undefined> {
  if (!duration) return undefined;
  return walk.clock.now() + parseDuration(await walk.value(duration, context.frame));
}

async function eventName(walk: Walk, template: Template, { path, context }: Here<Step>): Promise<string> {
  const name = await walk.value(template, context.frame);
  if (typeof name === "string" && name !== "") return name;
  throw new Fault("expression", `\`event\` of ${path} must be text; it is ${JSON.stringify(name)}.`, { instance: path });
}

const runIdPattern = new RegExp(RUN_ID_PATTERN);

// The last moment that JavaScript and ISO 8601 with four digits can both tell.
const timeMax = Date.UTC(9999, 11, 31);

const iso = (ms: number): string => new Date(ms).toISOString();
const until = (walk: Walk, deadline: number | undefined): JsonObject =>
  deadline === undefined ? {} : { until: iso(walk.clock.wall(deadline)) };
