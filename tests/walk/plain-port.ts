import { Fault, type Problem } from "../../contracts/faults.ts";
import { eventIdentity, isTerminal, type RunEvent, type RunStatus } from "../../contracts/events.ts";
import { isObject, type Json, type JsonObject } from "../../contracts/json.ts";
import { makeReference, referenceHash } from "../../contracts/reference.ts";
import type { ExternalEvent } from "../../contracts/messages.ts";
import type { StepCall } from "../../contracts/activities.ts";
import { fill } from "../../language/expression/evaluate.ts";
import { Canceled, type Scope } from "../../workflows/scope.ts";
import type { Port } from "../../workflows/port.ts";
import { VirtualTime } from "./virtual-time.ts";

/** What the far end of a call does: answers or fails, after a while of virtual time. */
export type Answer = { output: Json; afterMs?: number } | { problem: Problem; afterMs?: number };

export type Answers = (path: string, fields: unknown, attempt: number) => Answer;

/** The walk's port in one process with virtual time: no server, no waiting, every run the same. */
export class PlainPort implements Port {
  /** Starts and ends of calls, in the order they happened. */
  readonly trace: { at: number; what: "start" | "end" | "cancel"; path: string }[] = [];
  /** The run's log as the record would have it. */
  readonly log: RunEvent[] = [];
  shown = "";
  readonly #time = new VirtualTime();
  readonly #stored: Json[] = [];
  readonly #answers: Answers;
  readonly #children = new Map<string, { answer: Answer; startedAt: number }>();
  #attending = 0;
  readonly #isLong: boolean;
  #ids = 0;

  constructor(answers: Answers, isLong = false) {
    this.#answers = answers;
    this.#isLong = isLong;
  }

  drive = <T>(walk: Promise<T>): Promise<T> => this.#time.drive(walk, () => this.shown);
  /** Do something at a virtual time. */
  at = (ms: number, action: () => void): void => this.#time.after(ms - this.#time.now, action, true);
  /** The execution is over and another takes its place. */
  forget = (): void => this.#time.forget();

  now = (): number => this.#time.now;
  uuid = (): string => `uuid-${this.#ids++}`;
  until: Port["until"] = (predicate) => this.#time.until(predicate);
  sleep: Port["sleep"] = (ms, _, scope) => this.#time.later<void>(scope, ms, (resolve) => resolve());
  send: Port["send"] = (_, __, scope) => this.#time.later<void>(scope, 1, (resolve) => resolve());
  /** To whom broadcasts went; each reaches one. */
  readonly broadcasts: ExternalEvent[] = [];
  broadcast: Port["broadcast"] = ({ event }, scope) =>
    this.#time.later<number>(scope, 1, (resolve) => resolve(this.broadcasts.push(event)));
  foreign: Port["foreign"] = ({ path, arguments: args, attempt }, scope) => this.#perform(path, this.#answers(path, args, attempt), scope);
  child: Port["child"] = ({ id, path, input }, scope, started) => {
    const { answer, startedAt } = this.#children.get(id) ?? { answer: this.#answers(path, input, 1), startedAt: this.now() };
    this.#children.set(id, { answer, startedAt });
    started();
    return this.#perform(path, { ...answer, afterMs: Math.max(0, startedAt + (answer.afterMs ?? 1) - this.now()) }, scope);
  };
  cancelChild: Port["cancelChild"] = async (id) => void this.trace.push({ at: this.now(), what: "cancel", path: id });
  record: Port["record"] = async (_, events) => ({ status: this.#append(events), lastSeq: this.log.length });
  store: Port["store"] = async (value) => makeReference(String(this.#stored.push(value) - 1), JSON.stringify(value).length);
  listItems: Port["listItems"] = async (list) => this.#load(list) as Json[];
  validate: Port["validate"] = async () => null;
  show = (markdown: string): void => void (this.shown = markdown);
  mark = (): void => undefined;
  /** A message is being answered until then. */
  async attended(answer: Promise<unknown>): Promise<void> {
    this.#attending += 1;
    await answer.catch(() => undefined);
    this.#attending -= 1;
  }
  isUnattended: Port["isUnattended"] = () => this.#attending === 0;
  history: Port["history"] = () => ({ events: 0, bytes: 0, isLong: this.#isLong });

  call: Port["call"] = async ({ call }, scope) => {
    const { path, fields, attempt, carried } = call as StepCall<unknown>;
    const output = await this.#perform(path, this.#answers(path, fields, attempt), scope);
    const type = "step.completed" as const;
    this.#append([...carried, { identity: eventIdentity(type, path, attempt), type, time: this.now(), step: path, data: { output } }]);
    return { output };
  };

  evaluate: Port["evaluate"] = async (template, roots, steps) => {
    const [allRoots, allSteps] = [this.#load(roots), this.#load(steps)] as JsonObject[];
    return fill(template, { name: (name) => allRoots![name], step: (id) => allSteps![id] });
  };

  #perform(path: string, answer: Answer, scope: Scope): Promise<Json> {
    const note = (what: "start" | "end" | "cancel"): void => void this.trace.push({ at: this.now(), what, path });
    note("start");
    const running = this.#time.later<Json>(scope, answer.afterMs ?? 1, (resolve, reject) => {
      note("end");
      if ("problem" in answer) reject(Fault.of({ ...answer.problem, instance: path }));
      else resolve(answer.output);
    });
    return running.catch((error: unknown) => {
      if (error instanceof Canceled) note("cancel");
      throw error;
    });
  }

  #append(events: RunEvent[]): RunStatus {
    const known = new Set(this.log.map((event) => event.identity));
    this.log.push(...events.filter((event) => !known.has(event.identity)));
    const last = this.log.findLast((event) => event.type.startsWith("run."))?.type.slice("run.".length) ?? "running";
    return isTerminal(last) ? last : "running";
  }

  #load(value: Json): Json {
    if (Array.isArray(value)) return value.map((item) => this.#load(item));
    if (!isObject(value)) return value;
    const hash = referenceHash(value);
    if (hash !== undefined) return this.#load(this.#stored[Number(hash)]!);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#load(item)]));
  }
}
