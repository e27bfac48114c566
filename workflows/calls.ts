import type { ThinkFields } from "../contracts/agent-task.ts";
import { Fault } from "../contracts/faults.ts";
import type { Delay, HttpFields, LlmFields, StepDone, Told, ToolFields } from "../contracts/activities.ts";
import { isReadMethod } from "../contracts/http-methods.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { defaults, limits } from "../contracts/limits.ts";
import { modelAttemptsMax } from "../contracts/model-calls.ts";
import { allows } from "../contracts/policy.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import type { CallOptions, Step, Template } from "../language/plan.ts";
import { optionsOfAttempt } from "./again.ts";
import { admitAbove } from "./agents-above.ts";
import type { Here, HereOf, Outcome } from "./context.ts";
import type { Frame } from "./frame.ts";
import { forgetCalled, isCalled, nextCalls } from "./next-calls.ts";
import { isLong } from "./plan-changes.ts";
import type { CallKind, NextCalls } from "./port.ts";
import { noteRefused, sinceOf } from "./since.ts";
import { hostsOf, stepCall, toolFields } from "./step-call.ts";
import type { Walk } from "./walk.ts";

export async function callLlm(walk: Walk, here: HereOf<"llm">): Promise<Outcome> {
  const { step, context } = here;
  const fields: LlmFields = {
    models: await texts(walk, step.models, context.frame),
    messages: await Promise.all(
      step.messages.map(async ({ role, content }) => ({ role, content: (await walk.value(content, context.frame)) as string })),
    ),
    repairs: step.repairs,
    ...(step.manner ? { manner: step.manner } : {}),
    ...(step.stream ? { stream: true } : {}),
    ...(step.cache ? { cache: await cacheOf(walk, step.cache, context.frame) } : {}),
    ...(step.guardrails ? { guard: { rules: step.guardrails, ...hostsOf(walk) } } : {}),
  };
  refuseModels(walk, here, fields.models);
  const judges = step.guardrails ? step.guardrails.filter(({ type }) => type === "model" || type === "custom").length : 0;
  return call(walk, "llm", here, { fields, chain: { models: fields.models.length, repairs: fields.repairs, judges } });
}

async function cacheOf(walk: Walk, cache: { key?: Template; ttlMs: number }, frame: Frame): Promise<NonNullable<LlmFields["cache"]>> {
  return { ttlMs: cache.ttlMs, ...(cache.key === undefined ? {} : { key: await walk.value(cache.key, frame) }) };
}

export async function callTool(walk: Walk, here: HereOf<"tool">): Promise<Outcome> {
  const { step } = here;
  if (step.local) return callShort(walk, here);
  const fields = await fieldsOf(walk, here);
  return callOnce(walk, "tool", here, { fields, isOnce: step.effect !== "read" });
}

async function callShort(walk: Walk, here: HereOf<"tool">): Promise<Outcome> {
  // Before its fields are filled: it has happened, whatever they would be by now.
  const made = walk.port.made(here);
  if (made) return { ...made, isRecorded: true };
  try {
    const fields = await fieldsOf(walk, here);
    return await call(walk, "tool", here, { fields, next: nextCalls(walk, here) });
  } catch (error) {
    forgetCalled(walk, here);
    throw error;
  }
}

async function fieldsOf(walk: Walk, here: HereOf<"tool">): Promise<ToolFields> {
  return {
    ...toolFields(walk, here),
    arguments: await walk.value(here.step.arguments, here.context.frame),
    ...toldOf(walk, here),
  };
}

function toldOf(walk: Walk, { path }: Here<Step>): { told?: Told } {
  const told = walk.ledger.place(path)?.["told"] as unknown as Told | undefined;
  return told ? { told } : {};
}

interface Effecting {
  fields: ToolFields | HttpFields;
  /** What may have happened is not simply done again. */
  isOnce: boolean;
}

async function callOnce(walk: Walk, kind: "tool" | "http", here: HereOf<"tool" | "http">, { fields, isOnce }: Effecting): Promise<Outcome> {
  try {
    return await call(walk, kind, here, { fields });
  } catch (error) {
    if (!isOnce || !mayHaveHappened(error)) throw error;
    return settle(walk, kind, here, { fields, error });
  }
}

/** No attempt is left that could say what the last one has done. */
async function settle(
  walk: Walk,
  kind: "tool" | "http",
  here: HereOf<"tool" | "http">,
  { fields, error }: { fields: Effecting["fields"]; error: unknown },
): Promise<Outcome> {
  const { path } = here;
  try {
    return await call(walk, kind, here, { fields: { ...fields, settle: true } });
  } catch (settled) {
    if (!hasTimedOut(settled)) throw settled;
    if (settled.problem["isSettled"] === true) throw error;
    const detail = `Step ${path} gave no answer in time, and no worker could say what it has done: tell it by take, retry or fail.`;
    throw new Fault("effect_unknown", detail, { instance: path });
  }
}

const mayHaveHappened = (error: unknown): boolean =>
  hasTimedOut(error) || (error instanceof Fault && error.problem["mayHaveHappened"] === true);

const hasTimedOut = (error: unknown): error is Fault => error instanceof Fault && error.code === "timeout";

export async function callHttp(walk: Walk, here: HereOf<"http">): Promise<Outcome> {
  const { step, context } = here;
  const { method, url, headers, query, body } = step.request;
  const fields: HttpFields = {
    method,
    url: await Promise.all(
      url.map(async (part) => (typeof part === "string" ? part : { value: await walk.value({ expr: part }, context.frame) })),
    ),
    headers: (await record(walk, headers, context.frame)) as Record<string, string>,
    query: await record(walk, query, context.frame),
    ...(body === undefined ? {} : { body: await walk.value(body, context.frame) }),
    ...(step.expect ? { expect: step.expect } : {}),
    ...hostsOf(walk),
    ...(step.effect === undefined || (step.effect === "read" && isReadMethod(method)) ? {} : { effect: step.effect }),
    ...(step.idempotent === undefined ? {} : { idempotent: step.idempotent }),
    ...toldOf(walk, here),
  };
  return callOnce(walk, "http", here, { fields, isOnce: step.effect !== "read" && step.idempotent === false });
}

/** Any Temporal activity, on any task queue, in any language. The walk records its end, since it does not know our log. */
export async function callForeign(walk: Walk, here: HereOf<"activity">): Promise<Outcome> {
  const { step, path, attempt, context } = here;
  const given = await walk.value(step.arguments, context.frame);
  if (jsonBytes(given) > limits.argumentBytesMax)
    throw new Fault("limit", `The arguments of ${path} need more than ${limits.argumentBytesMax} bytes; pass a reference to them.`, {
      instance: path,
    });
  const request = {
    activity: step.activity,
    ...(step.taskQueue === undefined ? {} : { taskQueue: step.taskQueue }),
    // A list is the activity's arguments one by one; anything else is its only argument.
    arguments: Array.isArray(given) ? given : [given],
    path,
    attempt,
    options: optionsOfAttempt(walk, here),
    ...(step.fairnessKey ? { fairnessKey: await fairnessOf(walk, step.fairnessKey, here) } : {}),
    summary: await summaryOf(walk, here),
  };
  await admitAbove(walk, path);
  void walk.journal.flush();
  const output = await walk.outside(() => walk.inspector.busy(() => walk.port.foreign(request, context.scope)), isLong(step));
  if (usesReservedKey(output ?? null))
    throw new Fault("reserved_key", `The activity of ${path} answered with a reserved key.`, {
      instance: path,
      extra: { hasHappened: true },
    });
  return { output: output ?? null };
}

/** `models`: how many there are in the chain; the fields themselves may have come as a reference. */
export async function callThink(
  walk: Walk,
  here: HereOf<"think">,
  { fields, ...chain }: { fields: ThinkFields; models: number; judges: number },
): Promise<Outcome> {
  return call(walk, "think", here, { fields, chain: { ...chain, repairs: fields.repairs ?? defaults.modelRepairs } });
}

/** One that has not begun is made again when its turn has come. */
async function call(walk: Walk, kind: CallKind, here: Here<Step & CallOptions>, { fields, chain, next }: Calling): Promise<Outcome> {
  const { context, step, path } = here;
  for (;;) {
    const turn = walk.ledger.place(path)?.["turn"] as Turn | undefined;
    if (turn) await untilTurn(walk, here, turn);
    const carry = walk.journal.carry(context.lane);
    const carried = carry instanceof Promise ? await carry : carry;
    const given = await walk.shrink(fields as unknown as Json, path);
    const request = {
      kind,
      call: {
        ...stepCall(walk, here, given, carried),
        ...(turn || isCalled(walk, path) ? { again: true as const } : {}),
        ...(chain ? sinceOf(walk, here, given) : {}),
      },
      options: chain ? attemptsOf(step, chain) : step,
      ...(step.fairnessKey ? { fairnessKey: await fairnessOf(walk, step.fairnessKey, here) } : {}),
      summary: step.summary ? await summaryOf(walk, here) : path,
      ...(next && walk.leaving.mayRunAhead ? { next } : {}),
    };
    const {
      delay,
      budgets: _,
      ...done
    } = await counted(walk, here, chain && given, () =>
      walk.outside(() => walk.inspector.busy(() => walk.port.call(request, context.scope)), isLong(step)),
    );
    walk.journal.acknowledge(carried);
    if (done.guarded) walk.inspector.note(shownAt(path), done.guarded);
    if (!delay) return { ...done, isRecorded: true };
    walk.ledger.note(path, { turn: turnAfter(walk, here, { delay, before: turn }) });
  }
}

/** What it has asked of models counts, also when it has failed. */
async function counted(walk: Walk, here: Here<Step>, asked: Json | undefined, work: () => Promise<StepDone>): Promise<StepDone> {
  try {
    const done = await work();
    walk.spent.add(done.usage as unknown as Json);
    walk.spent.see(done.budgets);
    return done;
  } catch (error) {
    if (error instanceof Fault) walk.spent.add(error.problem["usage"]);
    if (asked !== undefined) noteRefused(walk, here, { asked, error });
    throw error;
  }
}

/** What a call waits for, until when by the run's own time, and since when for something that may never come. */
type Turn = { for: string; at: number; since?: number };

function turnAfter(
  walk: Walk,
  { step, path }: Here<Step & CallOptions>,
  { delay, before }: { delay: Delay; before: Turn | undefined },
): Turn {
  const now = walk.clock.now();
  const since = delay.isOutage ? (before?.since ?? now) : before?.since;
  const turn = { for: delay.for, at: now + delay.ms };
  if (since === undefined) return turn;
  const until = since + step.totalTimeoutMs;
  if (delay.isOutage && now >= until)
    throw new Fault("model", `Step ${path} has waited ${step.totalTimeoutMs} ms for ${delay.for}.`, {
      instance: path,
      extra: { retryable: false },
    });
  return { ...turn, at: delay.isOutage ? Math.min(turn.at, until) : turn.at, since };
}

async function untilTurn(walk: Walk, { path, context }: Here<Step>, turn: Turn): Promise<void> {
  const ms = turn.at - walk.clock.now();
  if (ms <= 0) return;
  await walk.inspector.waiting(path, turn.for, () => walk.clock.sleep(ms, `${path}: wait for ${turn.for}`, context.scope));
  if (walk.pause.isPaused) await walk.pause.over(context.scope);
}
/** A turn's line is gone as soon as it has ended: its agent's stays. */
const shownAt = (path: string): string => path.replace(/\[\d+\]\.think$/, "");

interface Calling {
  fields: LlmFields | ToolFields | HttpFields | ThinkFields;
  /** Of a call of models: how many there are to ask, and how often each may mend its answer. */
  chain?: { models: number; repairs: number; judges: number };
  next?: NextCalls | undefined;
}

/** An activity that asks models makes one call per attempt; what the step says of attempts holds for each model. */
function attemptsOf(options: CallOptions, chain: NonNullable<Calling["chain"]>): CallOptions {
  const { retry } = options;
  return { ...options, retry: { ...retry, maxAttempts: modelAttemptsMax({ ...chain, maxAttempts: retry.maxAttempts }) } };
}

/** What the Temporal Web UI shows beside the event: the step's path, then the author's own words. */
export async function summaryOf(walk: Walk, { step, path, context }: Here<Step>): Promise<string> {
  if (!step.summary) return path;
  const words = await walk.value(step.summary, context.frame);
  return `${path} · ${typeof words === "string" ? words : JSON.stringify(words)}`;
}

/** What an expression named could not be held against the policy when the definition was published. */
export function refuseModels({ options: { plan } }: Walk, { path }: Here<Step>, models: string[]): void {
  const refused = models.find((model) => !allows(plan.policy?.models, model));
  if (refused === undefined) return;
  throw new Fault("policy", `\`policy.models\` of ${plan.name} does not let ${JSON.stringify(refused.slice(0, 100))} pass.`, {
    instance: path,
  });
}

async function fairnessOf(walk: Walk, template: Template, { path, context }: Here<Step>): Promise<string> {
  const value = await walk.value(template, context.frame);
  const key = typeof value === "number" ? String(value) : value;
  if (typeof key === "string" && jsonBytes(key) - 2 <= limits.fairnessKeyBytesMax) return key;
  throw new Fault("expression", `\`fairnessKey\` of ${path} must be text of at most ${limits.fairnessKeyBytesMax} bytes.`, {
    instance: path,
  });
}

export async function texts(walk: Walk, templates: readonly Template[], frame: Frame): Promise<string[]> {
  const values = await Promise.all(templates.map((template) => walk.value(template, frame)));
  return values.map((value) => {
    if (typeof value === "string") return value;
    throw new Fault("expression", `A model's name must be text; it is ${JSON.stringify(value)}.`);
  });
}

async function record(walk: Walk, entries: readonly [string, Template][], frame: Frame): Promise<Record<string, Json>> {
  const values = await Promise.all(entries.map(async ([name, template]) => [name, await walk.value(template, frame)] as const));
  return Object.fromEntries(values);
}
