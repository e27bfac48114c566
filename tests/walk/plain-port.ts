import { Fault, type Problem } from "../../contracts/faults.ts";
import { eventIdentity, type RunEvent } from "../../contracts/events.ts";
import { isObject, type Json, type JsonObject } from "../../contracts/json.ts";
import type { Approved } from "../../contracts/agent-task.ts";
import type { Holds } from "../../contracts/holds.ts";
import { limits } from "../../contracts/limits.ts";
import { makeReference, referenceHash } from "../../contracts/reference.ts";
import type { ExternalEvent, UpdateArguments, WindowHears, WindowSays } from "../../contracts/messages.ts";
import type { RunEnd } from "../../contracts/run-end.ts";
import { inARow } from "../../activities/short-tools.ts";
import type { BudgetLeft } from "../../contracts/budgets.ts";
import type { Delay, ShortAnswer, ShortCall, StepCall, StepDone, Usage } from "../../contracts/activities.ts";
import { fill } from "../../language/expression/evaluate.ts";
import { Canceled, Scope } from "../../workflows/scope.ts";
import type { ChildRequest, ChildWatch, NextCalls, Port, RaiseRequest } from "../../workflows/port.ts";
import { hash } from "./answers.ts";
import { PlainLocks } from "./plain-locks.ts";
import { PlainRecord } from "./plain-record.ts";
import { VirtualTime } from "./virtual-time.ts";

/** What the far end of a call does: answers or fails, after a while of virtual time. */
export type Answer =
  | { output: Json; usage?: Usage; budgets?: BudgetLeft[]; delay?: Delay; afterMs?: number }
  | { problem: Problem; afterMs?: number };

export type Answers = (path: string, fields: unknown, attempt: number, key?: string) => Answer;

/** A child run that walks a part of the plan. */
export interface RunningPart {
  end: Promise<RunEnd>;
  cancel: () => void;
  hold: (holds: Holds) => void;
  hear: (hears: WindowHears) => void;
}

export type BeginPart = (request: ChildRequest, parent: PlainPort) => RunningPart;

interface PlainPortOptions {
  /** After every step, or after so many calls. */
  isLong?: boolean | number;
  parent?: PlainPort;
  begin?: BeginPart;
  /** Of an earlier run that this one goes on from: what the record has, and when it had ended. */
  runs?: PlainRecord;
  now?: number;
}

/** The walk's port in one process with virtual time: no server, no waiting, every run the same. */
export class PlainPort implements Port {
  /** Starts and ends of calls, in the order they happened. */
  readonly trace: { at: number; what: "start" | "end" | "cancel"; path: string }[] = [];
  /** Idempotency keys of the calls, in the order in which they were made. */
  readonly keys: string[] = [];
  /** From which attempt on they go on with what models have said; undefined: their own. */
  readonly since: (number | undefined)[] = [];
  /** The run whose answers count, too. */
  readonly retryOf: (string | undefined)[] = [];
  /** The run's log as the record would have it. */
  readonly log: RunEvent[] = [];
  /** Different events that claim to be the same one: the record would keep only the first. */
  readonly collisions: RunEvent[] = [];
  /** Hears of every event once it is in the log. */
  heard: ((event: RunEvent) => void) | undefined;
  /** What children were told. */
  readonly held: { at: number; id: string; holds: Holds }[] = [];
  shown = "";
  /** The ports of child runs that walk a part of the same plan. */
  readonly parts: PlainPort[] = [];
  /** What the record has of all runs. */
  readonly runs: PlainRecord;
  /** Of the largest state with which the run went on in another execution. */
  stateBytes = 0;
  /** Of a window: ends it at once. */
  terminate: () => void = () => undefined;
  /** Of the run that is walked on it. */
  run = "";
  readonly #time: VirtualTime;
  readonly #stored: Json[];
  readonly #locks: PlainLocks;
  readonly #answers: Answers;
  readonly #children = new Map<string, { answer: Answer; startedAt: number }>();
  readonly #running = new Map<string, RunningPart>();
  readonly #known = new Map<string, RunEvent>();
  #indexed = 0;
  #attending = 0;
  readonly #isLong: boolean | number;
  #calls = 0;
  readonly #begin: BeginPart | undefined;
  readonly #parent: PlainPort | undefined;
  #ids = 0;
  #executions = 0;

  constructor(answers: Answers, { isLong = false, parent, begin, runs = new PlainRecord(), now = 0 }: PlainPortOptions = {}) {
    this.#answers = answers;
    this.runs = parent ? parent.runs : runs;
    this.#isLong = isLong;
    this.#begin = begin;
    this.#parent = parent;
    this.#time = parent ? parent.#time : new VirtualTime(now);
    this.#stored = parent ? parent.#stored : [];
    this.#locks = parent ? parent.#locks : new PlainLocks();
    this.budgets = parent ? parent.budgets : new Map();
    if (parent) this.trace = parent.trace;
    parent?.parts.push(this);
  }

  /** What calls fell under, by path. */
  readonly budgets: Map<string, string[]>;
  drive = <T>(walk: Promise<T>): Promise<T> => this.#time.drive(walk, () => this.shown);
  /** Do something at a virtual time. */
  at = (ms: number, action: () => void): void => this.#time.after(ms - this.#time.now, action);
  /** The execution is over and another takes its place. */
  forget = (): void => {
    this.#time.forget(this);
    this.#executions += 1;
    this.#made.clear();
    this.#calls = 0;
  };

  now = (): number => this.#time.now;
  uuid = (): string => `uuid-${this.#ids++}`;
  until: Port["until"] = (predicate) => this.#time.until(predicate, this);
  sleep: Port["sleep"] = (ms, _, scope) => this.#time.later<void>({ scope, ms, owner: this }, (resolve) => resolve());
  /** How often the walk went on in another task. */
  rests = 0;
  nextTask: Port["nextTask"] = () => {
    this.rests += 1;
    return this.#time.later<void>({ scope: new Scope(), ms: 1, owner: this }, (resolve) => resolve());
  };
  send: Port["send"] = (to, _, scope) =>
    this.#time.later<void>({ scope, ms: 1, owner: this }, (resolve, reject) => {
      // As Temporal does.
      if (to === this.run) reject(new Fault("not_found", "A run cannot signal itself."));
      else resolve();
    });
  /** To whom broadcasts went; each reaches one. */
  readonly broadcasts: ExternalEvent[] = [];
  broadcast: Port["broadcast"] = ({ event }, scope) =>
    this.#time.later<number>({ scope, ms: 1, owner: this }, (resolve) => resolve(this.broadcasts.push(event)));
  /** What was sent, by the id it got. */
  readonly messages: Parameters<Port["message"]>[0][] = [];
  message: Port["message"] = async (outgoing) => {
    const id = `message-${this.messages.push(outgoing)}`;
    return { id, correlationId: id };
  };
  /** Calls of activities that are not ours. */
  readonly foreigns: Parameters<Port["foreign"]>[0][] = [];
  foreign: Port["foreign"] = (request, scope) => {
    const { path, arguments: args, attempt } = request;
    this.foreigns.push(request);
    return this.#perform(path, this.#answers(path, args, attempt), scope);
  };
  child: Port["child"] = (request, scope, told) => {
    const { id, path, input, part } = request;
    if (part) this.#running.set(id, this.#begin!(request, this));
    const running = this.#running.get(id);
    if (running) return this.#part(running, { scope, told, isStarted: part === undefined });
    const known = this.#children.get(id);
    const { answer, startedAt } = known ?? { answer: this.#answers(path, input, 1), startedAt: this.now() };
    this.#children.set(id, { answer, startedAt });
    told.started();
    return this.#perform(path, { ...answer, afterMs: Math.max(0, startedAt + (answer.afterMs ?? 1) - this.now()) }, scope, {
      isStarted: known !== undefined,
    });
  };
  hold: Port["hold"] = async (id, holds) => {
    this.held.push({ at: this.now(), id, holds });
    this.#running.get(id)?.hold(holds);
  };
  /** When people were asked in runs that agents have started. */
  readonly askedBelow: { from: number; to: number }[] = [];
  peopleAsked: Port["peopleAsked"] = ({ since }, scope) => {
    const asked = this.askedBelow.filter(({ from, to }) => from <= this.now() && to > since);
    const until = Math.max(this.now() + 1, ...asked.map(({ to }) => to));
    const ms = asked.reduce((sum, { from, to }) => sum + to - Math.max(from, since), 0);
    return this.#time.later<number>({ scope, ms: until - this.now(), owner: this }, (resolve) => resolve(ms));
  };
  toWindow: Port["toWindow"] = (id, hears) => this.#say(() => this.#running.get(id)?.hear(hears));
  toParent: Port["toParent"] = async (says) => {
    await this.#say(() => this.#parent?.hearWindow(says));
    return true;
  };
  /** Of the walk that is there when a window speaks. */
  /** Of a window: what somebody says about a step of it that is parked; nothing where it is not. */
  attend: (attended: UpdateArguments["attend"]) => Promise<void> = async () => undefined;
  hearWindow: (says: WindowSays) => void = () => undefined;
  #say = (said: () => void): Promise<void> =>
    this.#time.later<void>({ scope: new Scope(), ms: 1, owner: this }, (resolve) => resolve(said()));
  cancelChild: Port["cancelChild"] = async (id) => void this.trace.push({ at: this.now(), what: "cancel", path: id });
  record: Port["record"] = async (_, events) => this.#append(events);
  store: Port["store"] = async (value) => makeReference(String(this.#stored.push(value) - 1), JSON.stringify(value).length);
  list: Port["list"] = async ({ list, itemsMax, pageSize }) => {
    const items = this.#load(list) as Json[];
    if (items.length <= itemsMax) return { items, from: 0 };
    const pages: Json[] = [];
    for (let at = 0; at < items.length; at += pageSize) pages.push(items.slice(at, at + pageSize));
    return { pages };
  };
  left: Port["left"] = async ({ id, path, undone }) => {
    const left = this.runs.left(id, undone);
    return left && { ...left, undos: await Promise.all(left.undos.map((page) => this.store(page, path))) };
  };
  page: Port["page"] = async (reference) => this.#stored[Number(referenceHash(reference))]!;
  concat: Port["concat"] = async (pages) => {
    const parts = this.#load(pages) as Json[];
    const value = parts.every((part) => Array.isArray(part)) ? parts.flat() : (Object.assign({}, ...(parts as JsonObject[])) as JsonObject);
    const { length } = JSON.stringify(value);
    return length > limits.inlineBytesMax ? makeReference(String(this.#stored.push(value) - 1), length) : value;
  };
  /** What people have approved of budgets. */
  readonly raised: RaiseRequest[] = [];
  raise: Port["raise"] = (request) =>
    this.#time.later<void>({ scope: new Scope(), ms: 1, owner: this }, (resolve) => {
      this.raised.push(request);
      resolve();
    });
  /** How many calls published agents make at the same time. */
  readonly callsAtOnce = new Map<string | null, number>();
  /** How long their tasks may take. */
  readonly timesMs = new Map<string | null, number>();
  brief: Port["brief"] = async ({ agent = null, models, contextTokens }) => ({
    hash: "brief",
    agent,
    models,
    maxTurns: null,
    concurrency: this.callsAtOnce.get(agent) ?? null,
    timeoutMs: this.timesMs.get(agent) ?? null,
    contextTokens,
  });
  /** Agents that may begin no call. */
  readonly inactive = new Set<string>();
  admit: Port["admit"] = async (agent) => {
    if (this.inactive.has(agent)) throw new Fault("agent_state", `Agent ${agent} is stopped.`);
  };
  validate: Port["validate"] = async () => null;
  /** What people have let pass into threads. */
  readonly exchanges: Approved[] = [];
  exchange: Port["exchange"] = async (approved) => void this.exchanges.push(approved);
  turn: Port["turn"] = (request, scope) => this.#locks.turn(request, this.run, scope);
  release: Port["release"] = async (request) => this.#locks.release(request, this.run);
  show = (markdown: string): void => void (this.shown = markdown);
  pageOf = (run: string): string => `runs/${run}`;
  pageOfNow = (): string => `now/${this.now()}`;
  mark = (): void => undefined;
  /** A message is being answered until then. */
  async attended(answer: Promise<unknown>): Promise<void> {
    this.#attending += 1;
    await answer.catch(() => undefined);
    this.#attending -= 1;
  }
  isUnattended: Port["isUnattended"] = () => this.#attending === 0;
  history: Port["history"] = () => ({ events: 0, bytes: 0, isLong: this.#isLong === true || this.#calls >= (this.#isLong || Infinity) });

  /** What calls gave that were made with the one before them. */
  readonly #made = new Map<string, { done: StepDone } | { error: unknown }>();

  made: Port["made"] = (call) => {
    const made = this.#made.get(nameOf(call));
    return made && "done" in made && this.#made.delete(nameOf(call)) ? made.done : undefined;
  };

  /** What time calls had, by path. */
  readonly times = new Map<string, { timeoutMs: number; totalTimeoutMs: number }>();

  call: Port["call"] = async ({ call, options: { timeoutMs, totalTimeoutMs }, next }, scope) => {
    this.times.set(call.path, { timeoutMs, totalTimeoutMs });
    const made = this.#made.get(nameOf(call));
    this.#made.delete(nameOf(call));
    if (made && "error" in made) throw made.error;
    const recorded = call.again && this.log.find(({ identity }) => identity === eventIdentity("step.completed", call.path, call.attempt));
    if (recorded) {
      this.#append(call.carried);
      return { output: recorded.data["output"]! };
    }
    const given = call as StepCall<unknown>;
    return next ? this.#callRow(given, next, scope) : this.#call(given, { scope, begunAt: this.now() });
  };

  /** With those after it, as the activity does. They have begun with it. Now and then there is no word of them, however far they came. */
  async #callRow(call: StepCall<unknown>, next: NextCalls, scope: Scope): Promise<StepDone> {
    const begunAt = this.now();
    const errors = new Map<string, unknown>();
    const answered = (given: StepCall<unknown>): Promise<ShortAnswer> =>
      this.#call(given, { scope: given === call ? scope : new Scope(), begunAt }).then(
        (done) => ({ done }),
        (error: unknown) => (errors.set(nameOf(given), error), {}),
      );
    const isLost = hash(call.path) % 5 === 0;
    let room = isLost ? hash(call.path) % 3 : Number.POSITIVE_INFINITY;
    next.begin(next.calls.calls.length);
    const row = { call, next: next.calls } as ShortCall;
    const { done, next: made = [] } = await inARow(row, answered, () => room-- > 0);
    if (isLost && done) {
      scope.throwIfCanceled();
      return done;
    }
    next.made(made.length);
    for (const [index, { done }] of made.entries()) {
      const name = nameOf(next.calls.calls[index]!.call);
      this.#made.set(name, done ? { done } : { error: errors.get(name) });
    }
    if (!done) throw errors.get(nameOf(call));
    return done;
  }

  async #call(call: StepCall<unknown>, { scope, begunAt }: { scope: Scope; begunAt: number }): Promise<StepDone> {
    const { path, fields, attempt, carried, idempotencyKey, since, retryOf, budgets = [] } = call;
    this.budgets.set(
      path,
      budgets.map(({ scope }) => scope),
    );
    this.keys.push(idempotencyKey);
    this.#calls += 1;
    this.since.push(since);
    this.retryOf.push(retryOf);
    const answer = this.#answers(path, fields, attempt, idempotencyKey);
    const output = await this.#perform(path, answer, scope, { begunAt });
    if ("delay" in answer) {
      this.#append(carried);
      return { output, delay: answer.delay! };
    }
    const type = "step.completed" as const;
    this.#append([...carried, { identity: eventIdentity(type, path, attempt), type, time: this.now(), step: path, data: { output } }]);
    const { usage, budgets: left } = answer as Exclude<Answer, { problem: Problem }>;
    return { output, ...(usage ? { usage } : {}), ...(left ? { budgets: left } : {}) };
  }

  acquire: Port["acquire"] = async (request, scope) => {
    // In no time: what waits for it before the run goes on elsewhere shall not be late.
    await this.#time.later<void>({ scope, ms: 0, owner: this }, (resolve) => resolve());
    return this.#locks.acquire(request, this.run);
  };

  evaluate: Port["evaluate"] = async (template, { roots, steps }) => {
    const [allRoots, allSteps] = [this.#load(roots), this.#load(steps)] as JsonObject[];
    return fill(template, { name: (name) => allRoots![name], step: (id) => allSteps![id] });
  };

  #perform(path: string, answer: Answer, scope: Scope, { isStarted = false, begunAt = this.now() } = {}): Promise<Json> {
    const note = (what: "start" | "end" | "cancel", at = this.now()): void => void this.trace.push({ at, what, path });
    if (!isStarted) note("start", begunAt);
    const running = this.#time.later<Json>({ scope, ms: answer.afterMs ?? 1, owner: this }, (resolve, reject) => {
      note("end");
      if ("problem" in answer) reject(Fault.of({ ...answer.problem, instance: path }));
      else resolve(answer.output);
    });
    return running.catch((error: unknown) => {
      if (error instanceof Canceled) note("cancel");
      throw error;
    });
  }

  async #part(
    { end, cancel }: RunningPart,
    { scope, told, isStarted }: { scope: Scope; told: ChildWatch; isStarted: boolean },
  ): Promise<Json> {
    told.started();
    // The end of one that an earlier execution has started is asked for by an activity: known no sooner than what the walk does by itself.
    if (isStarted) await this.#time.later<void>({ scope: new Scope(), ms: 0, owner: this }, (resolve) => resolve());
    const execution = this.#executions;
    const release = scope.onCancel(cancel);
    try {
      const { result, error } = await end;
      told.ended({ spent: result.spent as unknown as Json, errors: result.errors });
      if (error) throw Fault.of({ ...error, childStep: error.instance ?? "" });
      return result.output;
    } catch (error) {
      throw scope.isCanceled ? new Canceled("the step was cancelled") : error;
    } finally {
      release();
      // Whoever waited in an execution that is over hears nothing any more.
      if (execution !== this.#executions) await new Promise(() => undefined);
    }
  }

  #append(events: RunEvent[]): void {
    for (; this.#indexed < this.log.length; this.#indexed += 1)
      this.#known.set(this.log[this.#indexed]!.identity, this.log[this.#indexed]!);
    this.collisions.push(...events.filter((event) => isOther(event, this.#known.get(event.identity))));
    const fresh = events.filter((event) => !this.#known.has(event.identity));
    this.log.push(...fresh);
    if (this.heard) for (const event of fresh) this.heard(event);
  }

  #load(value: Json): Json {
    if (Array.isArray(value)) return value.map((item) => this.#load(item));
    if (!isObject(value)) return value;
    const hash = referenceHash(value);
    if (hash !== undefined) return this.#load(this.#stored[Number(hash)]!);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#load(item)]));
  }
}

const nameOf = ({ path, attempt }: Pick<StepCall<unknown>, "path" | "attempt">): string => `${path}#${attempt}`;

/** The same thing may be told again later: only the time differs. */
const isOther = (event: RunEvent, known: RunEvent | undefined): boolean =>
  known !== undefined && known !== event && JSON.stringify({ ...event, time: known.time }) !== JSON.stringify(known);
