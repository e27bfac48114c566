import { Context } from "@temporalio/activity";
import { eventIdentity, type EventType, type RunEvent } from "../contracts/events.ts";
import { Fault } from "../contracts/faults.ts";
import { defaults } from "../contracts/limits.ts";
import type { StepCall, StepDone, Usage } from "../contracts/activities.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import type { Expression } from "../language/plan.ts";
import { evaluate } from "../language/expression/evaluate.ts";
import { validateValue } from "../language/validate.ts";
import { keep, resolve } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { failureOf, retryDelayMs } from "./failures.ts";
import type { Record } from "./record.ts";
import type { WorkContext } from "./work.ts";

export interface StepDeps {
  database: Database;
  record: Record;
}

export interface Worked {
  output: Json;
  /** What `outputSchema` speaks of, when it is not the whole output. */
  checked?: Json;
  usage?: Usage;
}

export type Work<Fields> = (fields: Fields, options: { outputSchema?: JsonSchema }, context: WorkContext) => Promise<Worked>;

/** A start is told by itself only when the work takes longer than this; otherwise together with its end. */
const tellStartAfterMs = 50;
const appendPatienceMs = 20_000;
/** Our own timeout comes first: it knows what was paid so far, Temporal's does not. */
const ownTimeoutLeadMs = 500;

/**
 * An activity that does one step's work and records it: start, end, result.
 *
 * What was done once is not done again: a later attempt finds the result in the record, or, when Postgres was away at
 * that moment, in the heartbeat of the attempt before. Faults leave as ApplicationFailures with their Problem.
 */
export function createStepActivity<Fields>(
  type: string,
  deps: StepDeps,
  work: Work<Fields>,
): (call: StepCall<Fields>) => Promise<StepDone> {
  return async (call) => {
    const told = new Told(type, call, deps.record);
    const beating = setInterval(() => Context.current().heartbeat(told.finished), beatEveryMs());
    try {
      const known = await finishedBefore(deps, call);
      if (known) return known;
      told.startSoon();
      const done = await perform(deps, call, work);
      return await told.end(done);
    } catch (error) {
      throw error instanceof Fault ? failureOf(error.problem, call.retry) : error;
    } finally {
      clearInterval(beating);
      await told.settle();
    }
  };
}

async function perform<Fields>(deps: StepDeps, call: StepCall<Fields>, work: Work<Fields>): Promise<StepDone> {
  const { tenant } = call.run;
  const fields = (await resolve(deps.database, tenant, call.fields as Json)) as Fields;
  const schema = call.outputSchema;
  const { output, usage, checked = output } = await work(fields, schema ? { outputSchema: schema } : {}, workContext(call));
  if (schema) checkSchema(schema, checked, call.path);
  tryAgainWhile(call, output);
  return { output: await keep(deps.database, tenant, output), ...(usage ? { usage } : {}) };
}

function workContext(call: StepCall<unknown>): WorkContext {
  const { info, cancellationSignal, log } = Context.current();
  return {
    idempotencyKey: call.idempotencyKey,
    runId: call.run.id,
    path: call.path,
    signal: cancellationSignal,
    timeoutMs: Math.max(1, info.startToCloseTimeoutMs - ownTimeoutLeadMs),
    log: (message, data) => log.info(message, data),
  };
}

/** The result of an attempt whose end Temporal never heard of. */
async function finishedBefore({ database, record }: StepDeps, call: StepCall<unknown>): Promise<StepDone | undefined> {
  const { info } = Context.current();
  if (info.attempt === 1) return undefined;
  const row = await database.step.findUnique({ where: { runId_path: { runId: call.run.id, path: call.path } } });
  if (row?.status === "completed" && row.attempt === call.attempt)
    return { output: row.output as Json, ...(row.usage ? { usage: row.usage as unknown as Usage } : {}) };
  const beat = info.heartbeatDetails as Finished | undefined;
  if (!beat?.event) return undefined;
  await record.append(call.run, [...call.carried, beat.event]);
  return beat.done;
}

function checkSchema(schema: JsonSchema, output: Json, path: string): void {
  const [first, ...others] = validateValue(schema, output);
  if (!first) return;
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  throw new Fault("schema", `The output of ${path} does not fit its outputSchema: ${first.pointer || "/"} ${first.message}${more}`, {
    instance: path,
  });
}

/** `retry.while`: the answer came, but its content asks for another attempt. */
function tryAgainWhile(call: StepCall<unknown>, output: Json): void {
  if (!call.retryWhile) return;
  const roots = { name: (name: string) => (name === "output" ? output : undefined), step: () => undefined };
  if (evaluate(call.retryWhile as unknown as Expression, roots) !== true) return;
  const { attempt } = Context.current().info;
  if (attempt >= call.retry.maxAttempts)
    throw new Fault("tool", `\`retry.while\` still held after ${attempt} attempts.`, { extra: { retryable: false } });
  throw new Fault("tool", "`retry.while` asked for another attempt.", {
    extra: { retryable: true, retryAfterMs: retryDelayMs(call.retry, attempt) },
  });
}

/** A step with a short `heartbeat` of its own beats more often. */
function beatEveryMs(): number {
  const { heartbeatTimeoutMs } = Context.current().info;
  return Math.min(defaults.heartbeatEveryMs, (heartbeatTimeoutMs ?? defaults.heartbeatTimeoutMs) / 4);
}

interface Finished {
  event: RunEvent;
  done: StepDone;
}

/** What this attempt has told the run's log. */
class Told {
  /** Goes with each heartbeat once the work is done, so that a lost append does not lose the work. */
  finished: Finished | undefined;
  readonly #type: string;
  readonly #call: StepCall<unknown>;
  readonly #record: Record;
  readonly #startedAt = Date.now();
  #timer: NodeJS.Timeout | undefined;
  #started: Promise<unknown> | undefined;

  constructor(type: string, call: StepCall<unknown>, record: Record) {
    this.#type = type;
    this.#call = call;
    this.#record = record;
  }

  startSoon(): void {
    // Lost when Postgres is away: the end tells it again.
    const tell = (): void => void (this.#started = this.#record.append(this.#call.run, this.#beginning()).catch(() => undefined));
    this.#timer = setTimeout(tell, tellStartAfterMs);
  }

  async end(done: StepDone): Promise<StepDone> {
    await this.settle();
    const event = this.#event("step.completed", Date.now(), {
      durationMs: Date.now() - this.#startedAt,
      ...(done as unknown as JsonObject),
    });
    this.finished = { event, done };
    await this.#appendPatiently([...this.#beginning(), event]);
    return done;
  }

  async settle(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#started;
  }

  #beginning(): RunEvent[] {
    return [...this.#call.carried, this.#event("step.started", this.#startedAt, {})];
  }

  /** The work is paid for: a database that is away for a moment must not have it done again. */
  async #appendPatiently(events: RunEvent[]): Promise<void> {
    const until = Date.now() + appendPatienceMs;
    for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 2_000)) {
      try {
        return void (await this.#record.append(this.#call.run, events));
      } catch (error) {
        Context.current().heartbeat(this.finished);
        if (Date.now() > until || Context.current().cancellationSignal.aborted) throw error;
        await new Promise((wake) => setTimeout(wake, waitMs));
      }
    }
  }

  #event(kind: EventType, time: number, data: JsonObject): RunEvent {
    const { path, attempt } = this.#call;
    return { identity: eventIdentity(kind, path, attempt), type: kind, time, step: path, data: { type: this.#type, attempt, ...data } };
  }
}
