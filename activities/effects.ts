import { boundedProblem, Fault, type Problem, messageOf } from "../contracts/faults.ts";
import { type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { keep, resolve } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { closeEffect, isKeyOf, openEffect, type OpenEffect, type Opening, type StandingEffect } from "../prisma/effects.ts";
import type { Told, ToolFields } from "../contracts/activities.ts";
import { lookUp } from "./effect-rows.ts";
import { patiently } from "./patience.ts";
import type { Tool } from "./tool-registry.ts";
import { withDeadline, type WorkContext } from "./work.ts";

/** What was asked of a tool that changes something outside. */
export interface EffectCall {
  tool: Pick<Tool, "name" | "version" | "effect" | "idempotent" | "isIdempotent" | "verify" | "parse">;
  fields: ToolFields;
  /** As the tool takes them. */
  args: unknown;
  /** Number of the call within the step. */
  call: number;
}

export interface Effected {
  output: Json;
  /** Yet to be closed with the result: `EffectLedger.done`. */
  effect?: OpenEffect;
  /** The run that had done it before: a fork's origin. */
  reusedFrom?: string;
}

/**
 * Effects happen once. Each is written ahead, so that an attempt that finds it open knows that it may have happened: then the
 * tool is asked (`verify`), or may do it again under the same key (`idempotent`), or a person says what happened. One
 * that is done is answered from here, in a retry, after a reset and in a fork.
 */
export class EffectLedger {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Do what was asked for, unless it was done before. Faults: those of `perform`, and `effect_unknown`.
   * Gives an open effect when it was done now: whoever keeps the result closes it.
   */
  async once(asked: EffectCall, context: WorkContext, perform: Perform): Promise<Effected> {
    const endsAt = Date.now() + context.timeoutMs;
    const patient = <T>(operation: () => Promise<T>): Promise<T> => patiently(endsAt, operation);
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const { known, unclear, said, ...id } = await patient(() => lookUp(this.#database, asked, context));
      if (known?.state === "done") return patient(() => this.#answer(known, context));
      if (unclear) {
        const told = wordOn(unclear, asked, context);
        await patient(() => this.#clear(unclear, told, context));
        continue;
      }
      const meant =
        said === undefined ? asked : { ...asked, fields: { ...asked.fields, arguments: said }, args: await asked.tool.parse(said) };
      const word = await outcomeOf(known, meant, context);
      const opening = { ...id, ...openingOf(asked, context) };
      if (typeof word === "object") return patient(() => this.#settle(known ?? opening, word, context));
      if (asked.fields.settle) throw settledFault(context.path);
      const effect = await patient(() => openEffect(this.#database, opening, known?.token));
      const within = { ...context, idempotencyKey: id.key };
      if (effect) return this.#perform(effect, { patient, perform, isAgain: word === "again", args: meant.args, context: within });
    }
    throw new Fault("unavailable", `The effect of ${context.path} is being dealt with elsewhere.`);
  }

  /** The result of an effect that has happened; nothing when nobody knows. */
  async known(fields: ToolFields, call: number, context: WorkContext): Promise<Effected | undefined> {
    const endsAt = Date.now() + context.timeoutMs;
    const { known: standing } = await patiently(endsAt, () => lookUp(this.#database, { fields, call }, context));
    if (standing?.state === "done") return this.#answer(standing, context);
    const { told } = fields;
    return standing && told?.happened && isAbout(told, standing, context) ? this.#settle(standing, told, context) : undefined;
  }

  /** `result` as it was kept. */
  async done(effect: OpenEffect, result: Json): Promise<void> {
    await closeEffect(this.#database, effect, { state: "done", result });
  }

  /** `retry.while` asked for another one. */
  async discard(effect: OpenEffect): Promise<void> {
    await closeEffect(this.#database, effect, { state: "discarded" });
  }

  async #perform(effect: OpenEffect, { patient, perform, isAgain, args, context }: Performing): Promise<Effected> {
    try {
      return { output: await perform(context, isAgain, args), effect };
    } catch (error) {
      const end = endOf(error, context);
      // Left open: the next attempt asks what became of it.
      if (end) await patient(() => closeEffect(this.#database, effect, end));
      throw error;
    }
  }

  async #answer(effect: StandingEffect, context: WorkContext): Promise<Effected> {
    if (effect.error) throw Fault.of({ ...effect.error, hasHappened: isOwn(effect, context) });
    const output = await resolve(this.#database, context.tenant, effect.result);
    // With it `retry.while` may still discard what an attempt before had no time to.
    return { output, ...(isOwn(effect, context) ? { effect } : { reusedFrom: effect.runId }) };
  }

  /** A person has said what became of a call with other arguments: what it gave is this call's, too. */
  async #clear(effect: StandingEffect, told: Told, { tenant }: WorkContext): Promise<void> {
    const result = told.happened ? { result: await keep(this.#database, tenant, told.result) } : {};
    await closeEffect(this.#database, effect, { state: told.happened ? "done" : "failed", resolvedBy: told.by, ...result });
  }

  /** Somebody knows that it has happened. */
  async #settle(effect: StandingEffect | Opening, { result, by }: Happened, context: WorkContext): Promise<Effected> {
    const kept = await keep(this.#database, context.tenant, result);
    const open = "token" in effect ? effect : await openEffect(this.#database, effect, undefined);
    if (!open) throw new Fault("unavailable", `The effect of ${context.path} is being dealt with elsewhere.`);
    await closeEffect(this.#database, open, { state: "done", result: kept, resolvedBy: by });
    const output = await resolve(this.#database, context.tenant, kept);
    return { output, ...(isOwn(effect, context) ? {} : { reusedFrom: effect.runId }) };
  }
}

/** Not a fork's origin's. */
const isOwn = ({ key, runId }: Pick<Opening, "key" | "runId">, context: WorkContext): boolean =>
  isKeyOf(context.idempotencyKey, key) || runId === context.runId;

interface Performing {
  patient: <T>(operation: () => Promise<T>) => Promise<T>;
  perform: Perform;
  isAgain: boolean;
  args: unknown;
  context: WorkContext;
}

/** `isAgain`: it may have happened, and is brought to its end under its key, with the arguments that it began with. */
type Perform = (context: WorkContext, isAgain: boolean, args: unknown) => Promise<Json>;

/** Times another attempt may come in between. */
const ROUNDS_MAX = 3;

interface Happened {
  result: Json;
  by: string;
}

/** What became of an effect of which only the beginning, or nothing, is known. */
async function outcomeOf(
  known: StandingEffect | undefined,
  asked: EffectCall,
  context: WorkContext,
): Promise<"not_done" | "again" | Happened> {
  const { tool, fields, args } = asked;
  const { told } = fields;
  if (told && isAbout(told, known, context)) return told.happened ? told : "not_done";
  if (!known) return "not_done";
  if (tool.idempotent || tool.isIdempotent?.(args)) return "again";
  const said = tool.verify ? await verify(tool, args, { known, context }) : ({ outcome: "unknown" } as const);
  if (said.outcome === "done") return { result: said.result ?? null, by: "verify" };
  if (said.outcome === "not_done") return "not_done";
  const detail =
    `${tool.name} was called by ${context.path} and gave no answer: it may have happened. Look outside, then say so: ` +
    "`take` with the result it gave, `retry` when it has not happened, or `fail`.";
  throw unknown(detail, known, { asked });
}

/** What a person has said of a call with other arguments; nobody else can: `verify` would be asked about these. */
function wordOn(unclear: StandingEffect, { tool, fields: { told } }: EffectCall, { path }: WorkContext): Told {
  if (told?.effect === unclear.token) return told;
  const detail =
    `${tool.name} was called by ${path} with other arguments (run ${unclear.runId}) and gave no answer: it may have happened. Look outside, ` +
    "then say so: `take` with the result it gave, which is this call's, too; `retry` when it has not happened, or `fail`.";
  throw unknown(detail, unclear);
}

/** A person speaks of what they were shown: not of another attempt after it. */
const isAbout = ({ effect }: Told, known: StandingEffect | undefined, { attempt }: WorkContext): boolean =>
  known === undefined || (effect === undefined ? known.attempt < attempt : effect === known.token);

const openingOf = ({ tool }: EffectCall, { runId, path, attempt }: WorkContext) => ({
  runId,
  path,
  attempt,
  tool: tool.name,
  version: tool.version,
  effect: tool.effect,
});

/** How it ended, as far as the tool's word goes; nothing when that says nothing. */
function endOf(error: unknown, context: WorkContext): { state: "failed" | "done"; error: Problem } | undefined {
  if (context.signal.aborted || !(error instanceof Fault) || error.code === "timeout" || error.problem["mayHaveHappened"] === true)
    return undefined;
  // It was done, but nothing can be made of its result: doing it again would be no better.
  return { state: error.problem["hasHappened"] === true ? "done" : "failed", error: boundedProblem(error.problem) };
}

async function verify(
  tool: EffectCall["tool"],
  args: unknown,
  { known, context }: { known: StandingEffect; context: WorkContext },
): Promise<Verified> {
  try {
    const asked = { ...context, idempotencyKey: known.key };
    return await withDeadline(context, context.timeoutMs, async (signal) => tool.verify!(args, { ...asked, signal }));
  } catch (error) {
    if (context.signal.aborted) throw error;
    const message = messageOf(error);
    const detail = `Whether ${tool.name} has done its work is not known, and its \`verify\` failed: ${message.slice(0, 500)}`;
    throw unknown(detail, known, { cause: error });
  }
}

/** What a tool's `verify` says. */
export type Verified = { outcome: "done"; result?: Json } | { outcome: "not_done" } | { outcome: "unknown" };

/** Names the very row: what a person answers is about that one. Tried again when only `verify` failed. */
function unknown(
  detail: string,
  { tool, key, token }: StandingEffect,
  { asked, cause }: { asked?: EffectCall; cause?: unknown } = {},
): Fault {
  const args = asked?.fields.arguments;
  const isShown = args !== undefined && JSON.stringify(args).length <= limits.errorDetailMax;
  const more: JsonObject = cause === undefined ? (isShown ? { arguments: args } : {}) : { retryable: true };
  return new Fault("effect_unknown", detail, { cause, extra: { tool, effectKey: key, effect: token, ...more } });
}

/** It was asked what has become of it, not for another call. */
export const settledFault = (path: string): Fault =>
  new Fault("timeout", `Step ${path} gave no answer in time; it may be done again.`, { extra: { retryable: false, isSettled: true } });
