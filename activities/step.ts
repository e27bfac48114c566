import { Context } from "@temporalio/activity";
import type { BudgetLeft } from "../contracts/budgets.ts";
import { Fault } from "../contracts/faults.ts";
import { eventIdentity, type EventType } from "../contracts/events.ts";
import { defaults, limits, type Retry } from "../contracts/limits.ts";
import type { RunKey, StepCall, StepDone, Usage } from "../contracts/activities.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import type { Expression } from "../language/plan.ts";
import { evaluate } from "../language/expression/evaluate.ts";
import { keep, resolve, store } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { hashOf } from "../prisma/hash.ts";
import type { OpenEffect } from "../prisma/effects.ts";
import type { EffectLedger } from "./effects.ts";
import type { IsolatedSchemas } from "./isolated-schema.ts";
import { Delayed } from "./delayed.ts";
import { AnotherAttempt, failureOf, retryDelayMs } from "./failures.ts";
import { attemptEndsAt, patiently } from "./patience.ts";
import type { Record } from "./record.ts";
import { Teller } from "./teller.ts";
import type { WorkContext } from "./work.ts";

export interface StepDeps {
  database: Database;
  record: Record;
  effects: EffectLedger;
  schemas: IsolatedSchemas;
}

export interface Worked {
  output: Json;
  /** What `outputSchema` speaks of, when it is not the whole output. */
  checked?: Json;
  usage?: Usage;
  /** For the log alone, beside the usage: the walk does not need it. */
  told?: JsonObject;
  /** What it did outside, yet to be closed with its result. */
  effect?: OpenEffect;
  reusedFrom?: string;
  /** What guardrails decided, for people. */
  guarded?: string[];
  /** It was made here and may hold references; what comes from outside may not. */
  isOurs?: true;
}

export interface Work<Fields> {
  (fields: Fields, options: { outputSchema?: JsonSchema }, context: StepContext): Promise<Worked>;
  /** It takes references in its fields where these are too large to be loaded at once. */
  readsParts?: true;
}

/** What work that takes several attempts knows beside what all know. */
export interface StepContext extends WorkContext {
  retry: Retry;
  /** Temporal's id of the execution that asks. */
  execution: string;
  /** There was an attempt before this one. */
  isAgain: boolean;
  /** What models have said since this attempt of the step holds. */
  since: number;
  /** What models have said to the step in this run, and in those that it tried again, may hold, too. */
  retryOf?: string;
  /** Of what the step asks: another question has other answers. */
  asked: () => string;
  /** What the attempt before wanted known by this one. It travels with heartbeats: it is there unless the worker died within 3 s. */
  left: Json | undefined;
  /** Leave something to the next attempt; undefined takes it back. */
  leave(value: Json | undefined): void;
  /** Tell the run's log what was decided under way. `ordinal`: the same whenever it is told again. */
  tell: (type: EventType, ordinal: number, data: JsonObject) => Promise<void>;
  /** Do something with the record until it works, or the attempt ends. */
  patiently: <T>(operation: () => Promise<T>) => Promise<T>;
  /** `retry.while`: whether this output asks for another attempt. */
  asksAgain(output: Json): boolean;
}

/** `endsAt`: sooner than the activity, when it has others to do. */
export type StepActivity<Fields> = (call: StepCall<Fields>, endsAt?: number) => Promise<StepDone>;

/** Work above this size is not kept in heartbeats: Temporal takes 2 MB. */
const heartbeatBytesMax = 1_000_000;

/** A record that has not answered by then may be away: what was done goes into a heartbeat. One that is only busy must not make it worse. */
const recordAnswersMs = 1_000;

/**
 * An activity that does one step's work and records it: start, end, result.
 *
 * What was done once is not done again: a later attempt finds the result in the record, or, when Postgres was away at
 * that moment, in the heartbeat of the attempt before. Faults leave as ApplicationFailures with their Problem.
 */
export function createStepActivity<Fields>(type: string, deps: StepDeps, work: Work<Fields>): StepActivity<Fields> {
  return async (call, endsAt = attemptEndsAt()) => {
    const teller = new Teller(type, call, deps.record);
    const desk = new Desk(endsAt);
    const beating = setInterval(() => desk.beat(), beatEveryMs());
    try {
      const known = isAgain(call) ? await patiently(desk.endsAt, () => finishedStep(deps.database, call)) : null;
      if (!known) return await perform(deps, call, { desk, teller, work });
      // Told since then.
      await patiently(desk.endsAt, () => teller.carry());
      return known;
    } catch (error) {
      if (error instanceof Delayed) {
        await patiently(desk.endsAt, () => teller.delay(error.delay));
        return { output: null, delay: error.delay };
      }
      desk.handOver();
      throw error instanceof Fault ? failureOf(error.problem, call.retry) : error instanceof AnotherAttempt ? error.failure() : error;
    } finally {
      clearInterval(beating);
      desk.clear();
      await teller.settle();
    }
  };
}

/** What this attempt has in hand. */
class Desk {
  readonly endsAt: number;
  readonly #before = handedOver();
  #worked = this.#before.worked;
  #left = this.#before.left;
  #soon: NodeJS.Timeout | undefined;
  /** What those that it falls under have left. */
  budgets: BudgetLeft[] = [];

  constructor(endsAt: number) {
    this.endsAt = endsAt;
  }

  get left(): Json | undefined {
    return this.#before.left;
  }

  leave(value: Json | undefined): void {
    this.#left = value;
    // What is known to the record need not be taken back: to find it twice is harmless.
    if (value === undefined) this.clear();
    else this.#beatSoon();
  }

  /** Done but not yet recorded; goes with each heartbeat, so that it outlives this attempt. */
  get worked(): Worked | undefined {
    return this.#worked;
  }

  /** A heartbeat costs the server as much as a step's end: none when the record answers at once, as it nearly always does. */
  done(worked: Worked): void {
    this.#worked = worked;
    this.#beatSoon();
  }

  /** The next attempt must ask again, not find this answer. */
  discard(): void {
    this.#worked = undefined;
    this.clear();
    this.beat();
  }

  beat(): void {
    if (Context.current().info.isLocal) return;
    const details = { ...(this.#worked ? { worked: this.#worked } : {}), ...(this.#left === undefined ? {} : { left: this.#left }) };
    const isKept = Object.keys(details).length > 0 && JSON.stringify(details).length <= heartbeatBytesMax;
    Context.current().heartbeat(isKept ? details : undefined);
  }

  /** The attempt has failed: what it leaves must not wait. */
  handOver(): void {
    if (this.#left !== undefined) this.beat();
  }

  #beatSoon(): void {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.beat(), recordAnswersMs);
  }

  clear(): void {
    clearTimeout(this.#soon);
  }
}

interface Doing<Fields> {
  desk: Desk;
  teller: Teller;
  work: Work<Fields>;
}

async function perform<Fields>(
  { database, effects, schemas }: StepDeps,
  call: StepCall<Fields>,
  { desk, teller, work }: Doing<Fields>,
): Promise<StepDone> {
  const { tenant } = call.run;
  const schema = call.outputSchema;
  teller.startSoon();
  if (!desk.worked) {
    const fields = await patiently(desk.endsAt, () => resolve(database, tenant, call.fields as Json));
    if (!work.readsParts && usesReservedKey(fields)) throw tooMuch(call.path);
    desk.done(await work(fields as Fields, schema ? { outputSchema: schema } : {}, stepContext(call, desk, teller)));
  }
  const { output, usage, told, effect, reusedFrom, guarded, isOurs, checked = output } = desk.worked!;
  const kept = await patiently(desk.endsAt, () => (isOurs ? store : keep)(database, tenant, output));
  // Before anything else is made of it: what has happened must be known as such.
  if (effect) await patiently(desk.endsAt, () => effects.done(effect, kept));
  try {
    if (schema) await checkSchema(schemas, { tenant, schema, output: checked, path: call.path });
    if (asksAgain(call, output)) {
      if (effect) await patiently(desk.endsAt, () => effects.discard(effect));
      desk.discard();
      throw unwanted(call);
    }
  } catch (error) {
    // What a fork's origin has done is that run's to undo; whoever undoes this should know what came of it.
    if (!(error instanceof Fault) || reusedFrom !== undefined) throw error;
    const answer = await patiently(desk.endsAt, () => store(database, tenant, kept, limits.pageInlineBytesMax));
    throw Fault.of({ ...error.problem, hasHappened: true, answer });
  }
  const done = {
    output: kept,
    ...(usage ? { usage } : {}),
    ...(reusedFrom === undefined ? {} : { reusedFrom }),
    ...(guarded ? { guarded } : {}),
  };
  const isNew = await patiently(desk.endsAt, () => teller.end(told ? { ...done, ...told } : done));
  // Another attempt may have told its end meanwhile; beside the walk also one of a task that was lost. The first stands.
  if (isNew || !(isAgain(call) || Context.current().info.isLocal))
    return desk.budgets.length > 0 ? { ...done, budgets: desk.budgets } : done;
  return (await patiently(desk.endsAt, () => finishedStep(database, call))) ?? done;
}

const tooMuch = (path: string): Fault => {
  const detail = `What ${path} is given is gone or needs more than ${limits.blobBytesMax} bytes; give it less at a time.`;
  return new Fault("limit", detail, { instance: path });
};

const isAgain = (call: StepCall<unknown>): boolean => call.again === true || Context.current().info.attempt > 1;

function stepContext(call: StepCall<unknown>, desk: Desk, teller: Teller): StepContext {
  const { cancellationSignal, info, log } = Context.current();
  return {
    idempotencyKey: call.idempotencyKey,
    tenant: call.run.tenant,
    runId: call.run.id,
    path: call.path,
    attempt: call.attempt,
    signal: cancellationSignal,
    timeoutMs: Math.max(1, desk.endsAt - Date.now()),
    log: (message, data) => log.info(message, data),
    ...(call.budgets ? { budgets: call.budgets } : {}),
    ...(call.agents ? { agents: call.agents } : {}),
    showBudgets: (left) => (desk.budgets = left),
    retry: call.retry,
    execution: info.workflowExecution?.runId ?? "",
    isAgain: isAgain(call) || call.since !== undefined,
    since: call.since ?? call.attempt,
    ...(call.retryOf === undefined ? {} : { retryOf: call.retryOf }),
    asked: () => hashOf([call.fields as Json, call.outputSchema ?? null]),
    left: desk.left,
    leave: (value) => desk.leave(value),
    tell: (type, ordinal, data) => patiently(desk.endsAt, () => teller.note(type, ordinal, data)),
    patiently: (operation) => patiently(desk.endsAt, operation),
    asksAgain: (output) => asksAgain(call, output),
  };
}

/** The recorded result of a step, of the same attempt; null when there is none. */
export async function finishedStep(
  database: Database,
  { run, path, attempt }: { run: RunKey; path: string; attempt: number },
): Promise<StepDone | null> {
  const row = await database.step.findUnique({ where: { runId_path: { runId: run.id, path } } });
  if (row?.status !== "completed" || row.attempt !== attempt) return null;
  const identity = eventIdentity("step.completed", path, attempt);
  const told = await database.event.findUnique({ where: { runId_identity: { runId: run.id, identity } }, select: { data: true } });
  const { reusedFrom } = (told?.data ?? {}) as { reusedFrom?: string };
  return {
    output: row.output as Json,
    ...(row.usage ? { usage: row.usage as unknown as Usage } : {}),
    ...(reusedFrom === undefined ? {} : { reusedFrom }),
  };
}

/** What an attempt before this one had done but not recorded, and what it left. */
function handedOver(): { worked?: Worked; left?: Json } {
  const { attempt, heartbeatDetails } = Context.current().info;
  return attempt > 1 ? ((heartbeatDetails as { worked?: Worked; left?: Json } | undefined) ?? {}) : {};
}

/** A step with a short `heartbeat` of its own beats more often. */
function beatEveryMs(): number {
  const { heartbeatTimeoutMs } = Context.current().info;
  return Math.min(defaults.heartbeatEveryMs, (heartbeatTimeoutMs ?? defaults.heartbeatTimeoutMs) / 4);
}

async function checkSchema(
  schemas: IsolatedSchemas,
  { tenant, schema, output, path }: { tenant: string; schema: JsonSchema; output: Json; path: string },
): Promise<void> {
  const [first, ...others] = await schemas.checkPublished({ tenant, hasHappened: true }, schema, output);
  if (!first) return;
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  const detail = `The output of ${path} does not fit its outputSchema: ${first.pointer || "/"} ${first.message}${more}`;
  throw new Fault("schema", detail, { instance: path });
}

/** `retry.while`: the answer came, but its content asks for another attempt. */
function unwanted({ retry }: StepCall<unknown>): Fault {
  const { attempt } = Context.current().info;
  const isLast = attempt >= retry.maxAttempts;
  const detail = isLast ? `\`retry.while\` still held after ${attempt} attempts.` : "`retry.while` asked for another attempt.";
  return new Fault("tool", detail, { extra: { retryable: !isLast, retryAfterMs: retryDelayMs(retry, attempt) } });
}

function asksAgain({ retryWhile }: StepCall<unknown>, output: Json): boolean {
  if (!retryWhile) return false;
  const roots = { name: (name: string) => (name === "output" ? output : undefined), step: () => undefined };
  return evaluate(retryWhile as unknown as Expression, roots) === true;
}
