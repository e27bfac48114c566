import { toolTime } from "../contracts/agent-task.ts";
import { isMemoryTtl } from "../contracts/agents.ts";
import { limits } from "../contracts/limits.ts";
import type { StepOf } from "../contracts/definition.schema.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import { keyType } from "./check-calls.ts";
import { checkEmit, checkListen, checkApproval, checkRaise, checkWait } from "./check-waits.ts";
import { checkMessage } from "./check-message.ts";
import { checkGuardrails } from "./check-guardrails.ts";
import { checkPolicy } from "./check-policy.ts";
import { checkScopeFields } from "./check-scopes.ts";
import { anyMap, anyType, isAny, nullType, numberType, objectOf, stringType, type Type } from "./expression/types.ts";
import { parseTextParts, ExpressionSyntaxError } from "./expression/parse.ts";
import type { Path } from "./finding.ts";

/** What a step gives. `isComputed`: known from the definition, so that it can be held against `outputSchema`. */
export interface StepOutput {
  type: Type;
  isComputed: boolean;
}

const given = (type: Type): StepOutput => ({ type, isComputed: false });
const computed = (type: Type): StepOutput => ({ type, isComputed: true });

/** What belongs to the step's type alone. A new step type is one case here. */
export function checkStepFields(checking: Checking, place: StepPlace, declared: Type): StepOutput {
  const { step, path, scope } = place;
  checkPolicy(checking, place);
  switch (step.type) {
    case "llm":
      return given(checkLlm(checking, { ...place, step }, declared));
    case "agent":
      return given(checkAgent(checking, { ...place, step }, declared));
    case "tool":
    case "activity":
      checking.value(step.arguments, [...path, "arguments"], scope);
      return given(declared);
    case "http":
      return given(checkHttp(checking, { ...place, step }, declared));
    case "set":
      return computed(checkSet(checking, { ...place, step }));
    case "workflow":
      checking.value(step.input, [...path, "input"], scope);
      return given(declared);
    case "wait":
      return given(checkWait(checking, { ...place, step }));
    case "listen":
      return given(checkListen(checking, { ...place, step }));
    case "emit":
      return given(checkEmit(checking, { ...place, step }));
    case "message":
      return given(checkMessage(checking, { ...place, step }));
    case "approval":
      return given(checkApproval(checking, { ...place, step }));
    case "raise":
      return given(checkRaise(checking, { ...place, step }));
    case "end":
      if (scope.isUndoing)
        checking.add("conflict", [...path, "type"], "The run is already ending when its steps are undone; remove `end`.");
      checking.value(step.output, [...path, "output"], scope);
      return given(nullType);
    default:
      return computed(checkScopeFields(checking, { ...place, step }));
  }
}

function checkLlm(checking: Checking, place: StepPlace<StepOf<"llm">>, declared: Type): Type {
  const { step, path, scope } = place;
  if (step.prompt !== undefined && step.messages)
    checking.addAtKey("conflict", [...path, "messages"], "`prompt` and `messages` exclude each other; keep one of them.");
  if (step.prompt === undefined && !step.messages && !checking.damage.isBroken(path))
    checking.add("missing_field", path, "An `llm` step needs `prompt` or `messages`.");
  checking.wanted(step.model, [...path, "model"], scope, text);
  for (const [index, model] of (step.fallbacks ?? []).entries()) checking.wanted(model, [...path, "fallbacks", index], scope, text);
  checking.value(step.prompt, [...path, "prompt"], scope);
  for (const [index, { content }] of (step.messages ?? []).entries())
    checking.value(content, [...path, "messages", index, "content"], scope);
  checking.wanted(step.cache?.key, [...path, "cache", "key"], scope, keyType);
  checkGuardrails(checking, place);
  const ttlMs = checking.fixedSpan(step.cache?.ttl, [...path, "cache", "ttl"]);
  if (ttlMs !== undefined && ttlMs > limits.cacheTtlMaxMs)
    checking.add("wrong_value", [...path, "cache", "ttl"], "`ttl` may be 30 days at most.");
  return step.outputSchema ? declared : stringType;
}

function checkAgent(checking: Checking, place: StepPlace<StepOf<"agent">>, declared: Type): Type {
  const { step, path, scope } = place;
  checkGuardrails(checking, place);
  checking.wanted(step.model, [...path, "model"], scope, text);
  for (const [index, model] of (step.fallbacks ?? []).entries()) checking.wanted(model, [...path, "fallbacks", index], scope, text);
  checking.value(step.instructions, [...path, "instructions"], scope);
  checking.value(step.prompt, [...path, "prompt"], scope);
  checking.wanted(step.fairnessKey, [...path, "fairnessKey"], scope, keyType);
  checking.value(step.approval?.assignees, [...path, "approval", "assignees"], scope);
  if (step.agent !== undefined && step.approval?.unasked)
    checking.add(
      "wrong_value",
      [...path, "approval", "unasked"],
      "What a published agent need not ask about, it says itself: publish it with it.",
    );
  checking.duration(step.approval?.expiresAfter, [...path, "approval", "expiresAfter"], scope);
  checking.duration(step.approval?.remindAfter, [...path, "approval", "remindAfter"], scope);
  for (const [index, granted] of (step.tools ?? []).entries()) checking.fixedSpan(toolTime(granted), [...path, "tools", index, "timeout"]);
  checkMemory(checking, { step, path, scope });
  return step.outputSchema ? declared : stringType;
}

function checkMemory(checking: Checking, { step, path, scope }: StepPlace<StepOf<"agent">>): void {
  checking.wanted(step.thread, [...path, "thread"], scope, keyType);
  if (step.thread !== undefined && step.lock)
    checking.addAtKey("conflict", [...path, "lock"], "`thread` holds a lock of its own; put this one on a `sequence` around the step.");
  checking.wanted(step.memory?.subject, [...path, "memory", "subject"], scope, keyType);
  const ttlMs = checking.fixedSpan(step.memory?.ttl, [...path, "memory", "ttl"]);
  if (ttlMs !== undefined && !isMemoryTtl(ttlMs))
    checking.add("wrong_value", [...path, "memory", "ttl"], "`ttl` is from one minute to ten years.");
}

const text = { type: stringType, what: "a text" };

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

function checkHttp(checking: Checking, place: StepPlace<StepOf<"http">>, declared: Type): Type {
  const { step, path, scope } = place;
  if (step.method !== undefined && !methods.has(step.method.toUpperCase()))
    checking.add("wrong_value", [...path, "method"], `There is no method ${JSON.stringify(step.method)}; use ${[...methods].join(", ")}.`);
  checking.value(step.url, [...path, "url"], scope);
  checkUrl(checking, step.url, [...path, "url"]);
  checking.value(step.headers, [...path, "headers"], scope);
  checking.value(step.query, [...path, "query"], scope);
  checking.value(step.body, [...path, "body"], scope);
  // The schema is held against the body: status and headers are the transport's.
  return objectOf([
    ["status", numberType],
    ["headers", anyMap],
    ["body", declared],
  ]);
}

function checkUrl(checking: Checking, url: string, path: Path): void {
  const parts = partsOf(url);
  if (!parts) return;
  const [first] = parts;
  if (first !== undefined && typeof first !== "string") return;
  if (!/^https?:\/\//i.test(first ?? ""))
    checking.add("wrong_value", path, "A url begins with `http://` or `https://`, or is an expression that gives one.");
  else if (parts.length === 1 && !URL.canParse(first!)) checking.add("wrong_value", path, `${JSON.stringify(first)} is not a url.`);
}

function partsOf(url: string): ReturnType<typeof parseTextParts> | undefined {
  try {
    return parseTextParts(url);
  } catch (error) {
    if (error instanceof ExpressionSyntaxError) return undefined;
    throw error;
  }
}

function checkSet(checking: Checking, { step, path, scope }: StepPlace<StepOf<"set">>): Type {
  const type = checking.value(step.values, [...path, "values"], scope);
  return isAny(type) ? anyType : type;
}
