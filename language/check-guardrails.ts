import type { StepOf } from "../contracts/definition.schema.ts";
import type { ProblemCode } from "../contracts/definition.ts";
import type { Guardrail } from "../contracts/guardrails.ts";
import { limits } from "../contracts/limits.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import { parseDuration } from "./duration.ts";
import { checkPattern, matchesPattern } from "./expression/pattern.ts";
import { Meter } from "./expression/values.ts";
import type { Path } from "./finding.ts";
import { checkSchema } from "./validate.ts";

export interface GuardrailFinding {
  code: ProblemCode;
  /** Within the list of rules. */
  path: Path;
  message: string;
}

/** The guardrails of a step, with what else it says. */
export function checkGuardrails(checking: Checking, { step, path }: StepPlace<StepOf<"llm" | "agent">>): void {
  const rules = step.guardrails ?? [];
  const at = [...path, "guardrails"];
  for (const { code, path: place, message } of guardrailFindings(rules, { hasTools: step.type === "agent" }))
    checking.add(code, [...at, ...place], message);
  if (step.stream && rules.some(({ on }) => on.includes("output")))
    checking.addAtKey(
      "conflict",
      [...path, "stream"],
      "Words are shown before a guardrail has seen them; remove `stream`, or `output` from the guardrails.",
    );
  if (step.type !== "llm" || !rules.some(({ outcome }) => outcome === "human")) return;
  if (step.cache)
    checking.addAtKey("conflict", [...path, "cache"], "People decide each time; remove `cache`, or use another `outcome` than `human`.");
  if (step.retry?.while !== undefined)
    checking.addAtKey(
      "conflict",
      [...path, "retry", "while"],
      "People decide about the answer; remove `while`, or use another `outcome` than `human`.",
    );
}

/** What the shape of rules cannot say, of a step and of a published agent alike. `hasTools`: whether there can be calls to look at. */
export function guardrailFindings(rules: readonly Guardrail[], { hasTools }: { hasTools: boolean }): GuardrailFinding[] {
  const findings: GuardrailFinding[] = [];
  for (const [index, rule] of rules.entries()) {
    const add = (code: ProblemCode, field: string, message: string): void => void findings.push({ code, path: [index, field], message });
    if (rules.slice(0, index).some(({ name }) => name === rule.name))
      add("duplicate_name", "name", `The guardrail \`${rule.name}\` stands here twice.`);
    checkPlaces(rule, hasTools, add);
    checkOutcome(rule, add);
    checkOfType(rule, add);
  }
  return findings;
}

type Add = (code: ProblemCode, field: string, message: string) => void;

const ofTools = (place: string): boolean => place === "toolCalls" || place === "toolResults";

function checkPlaces({ on, tools, outcome }: Guardrail, hasTools: boolean, add: Add): void {
  if (!hasTools && on.some(ofTools))
    add("conflict", "on", "An `llm` step calls no tools; look at `input` or `output`, or use an `agent` step.");
  if (tools && !on.every(ofTools))
    add("conflict", "tools", "`tools` narrows `toolCalls` and `toolResults` only; make a guardrail of its own for `input` and `output`.");
  if (outcome === "retry" && on.some((place) => place === "input" || place === "toolResults"))
    add(
      "conflict",
      "outcome",
      "What the model is told cannot be asked of it again; use `raise`, `fix` or `human` for `input` and `toolResults`.",
    );
}

function checkOutcome(rule: Guardrail, add: Add): void {
  const { type, outcome, assignees, expiresAfter } = rule;
  if (outcome === "fix" && type === "schema")
    add("conflict", "outcome", "A schema does not say what should stand there instead; use `retry`, `raise` or `human`.");
  if (outcome !== "human" && assignees) add("conflict", "assignees", "Only `human` asks people; remove `assignees`.");
  if (outcome !== "human" && expiresAfter !== undefined)
    add("conflict", "expiresAfter", "Only `human` asks people; remove `expiresAfter`.");
  if (expiresAfter !== undefined && !isSpan(expiresAfter))
    add("duration", "expiresAfter", "A duration above 0, such as `90s`, `10m`, `PT1H`, or a number of milliseconds.");
}

function checkOfType(rule: Guardrail, add: Add): void {
  if (rule.type === "schema") for (const problem of checkSchema(rule.schema)) add("schema", "schema", problem);
  if (rule.type === "pattern") checkPatternRule(rule, add);
}

function checkPatternRule({ pattern, expect, outcome, replaceBy }: Extract<Guardrail, { type: "pattern" }>, add: Add): void {
  const problem = patternProblem(pattern);
  if (problem !== undefined) add("wrong_value", "pattern", problem);
  if (outcome === "fix" && expect === "present")
    add("conflict", "outcome", "What is missing cannot be replaced; use `retry`, `raise` or `human`.");
  if (outcome !== "fix" && replaceBy !== undefined) add("conflict", "replaceBy", "Only `fix` replaces; remove `replaceBy`.");
}

function patternProblem(pattern: string): string | undefined {
  const bytes = new TextEncoder().encode(pattern).length;
  if (bytes > limits.guardrailPatternBytesMax)
    return `The pattern has ${bytes} bytes; at most ${limits.guardrailPatternBytesMax} are allowed. Make several guardrails of it.`;
  try {
    checkPattern(pattern);
  } catch (error) {
    return `The pattern cannot be used: ${(error as Error).message}`;
  }
  return matchesPattern("", pattern, new Meter())
    ? "The pattern is found in an empty text, and so everywhere; make it need a character."
    : undefined;
}

function isSpan(value: string | number): boolean {
  try {
    return parseDuration(value) > 0;
  } catch {
    return false;
  }
}
