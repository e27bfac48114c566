import type { Usage } from "../contracts/activities.ts";
import { Fault, makeProblem, type Problem } from "../contracts/faults.ts";
import type { Guardrail, GuardedPlace, GuardOrder, GuardrailOutcome, GuardrailQuestion } from "../contracts/guardrails.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import { allows } from "../contracts/policy.ts";
import type { LlmDeps } from "./asking.ts";
import { judgeByModel } from "./guard-model.ts";
import { judgeByPattern, judgeBySchema, textsOf, type Verdict } from "./guard-rules.ts";
import type { IsolatedSchemas } from "./isolated-schema.ts";
import { boundedUsage } from "./llm-usage.ts";
import { SentBack } from "./sent-back.ts";
import type { StepContext } from "./step.ts";
import type { ToolCall } from "./tool.ts";
import type { FindTool } from "./tool-finder.ts";

export interface GuardDeps {
  schemas: IsolatedSchemas;
  find: FindTool;
  tool: ToolCall;
  llm: LlmDeps;
}

/** One thing that is looked at. */
export interface Piece {
  on: GuardedPlace;
  value: Json;
  /** What rules know the tool by whose call or result it is. */
  tool?: string;
  /** Which one of the step: the same in every attempt. */
  place: number;
}

export interface Passed {
  value: Json;
  /** It passes when people say so. */
  question?: GuardrailQuestion;
}

/**
 * Holds what goes into a model and what comes out of it against rules, in their order; each sees what those before it have made of it.
 * A verdict that cost something is not paid for again: its call has a key of its own, which is the same in every attempt.
 *
 * Faults: `guardrail` (extensions `rule`, `on`), `limit`, and those of the tool or the model that was to judge: what cannot be judged
 * does not pass.
 */
export class Guard {
  /** What the models have cost that judged. */
  readonly usages: Usage[] = [];
  /** For people: which rules did not let something pass as it was, and what became of it. */
  readonly decided: string[] = [];
  readonly #deps: GuardDeps;
  readonly #order: GuardOrder;
  readonly #context: StepContext;
  readonly #endsAt: number;

  constructor(deps: GuardDeps, order: GuardOrder, context: StepContext) {
    this.#deps = deps;
    this.#order = order;
    this.#context = context;
    this.#endsAt = Date.now() + context.timeoutMs;
  }

  looksAt(place: GuardedPlace): boolean {
    return this.#order.rules.some(({ on }) => on.includes(place));
  }

  async pass(piece: Piece): Promise<Passed> {
    let passed: Passed = { value: piece.value };
    for (const [index, rule] of this.#order.rules.entries()) {
      if (!concerns(rule, piece)) continue;
      const seen = { ...piece, value: passed.value };
      refuseLong(rule, seen.value);
      const verdict = await this.#judge(rule, seen);
      // Of several who would be asked, the first are.
      if (!verdict.passes)
        passed = { ...(await this.#decide({ rule, index }, seen, verdict)), ...(passed.question ? { question: passed.question } : {}) };
    }
    return passed;
  }

  async #judge(rule: Guardrail, piece: Piece): Promise<Verdict> {
    const checks = { schemas: this.#deps.schemas, tenant: this.#context.tenant };
    switch (rule.type) {
      case "pattern":
        return judgeByPattern(checks, rule, piece.value);
      case "schema":
        return judgeBySchema(checks, rule.schema, piece.value);
      case "model": {
        const { verdict, usage } = await judgeByModel(this.#deps.llm, rule, {
          value: piece.value,
          agent: this.#order.agent,
          context: this.#contextOf(rule, piece),
        });
        if (usage) this.usages.push(usage);
        return verdict;
      }
      case "custom":
        return this.#judgeByTool(rule, piece);
    }
  }

  async #judgeByTool(rule: Extract<Guardrail, { type: "custom" }>, { on, value, tool: of, place }: Piece): Promise<Verdict> {
    const context = this.#contextOf(rule, { on, place });
    const fields = { tool: rule.tool, ...(rule.version === undefined ? {} : { version: rule.version }) };
    const found = await this.#deps.find(fields, context);
    // A verdict is asked for again whenever an attempt is lost.
    if (found.effect !== "read")
      throw new Fault("tool_input", `Guardrail ${rule.name}: ${rule.tool} changes something outside; only tools that read may judge.`);
    const given = isObject(rule.arguments) ? rule.arguments : {};
    const args: JsonObject = { ...given, on, ...(of === undefined ? {} : { tool: of }), value };
    const { hosts, agent } = this.#order;
    const called = { ...fields, arguments: args, ...(hosts ? { hosts } : {}), ...(agent === undefined ? {} : { agent }) };
    return verdictOf(rule, (await this.#deps.tool(called, context)).output);
  }

  async #decide({ rule, index }: Ruling, piece: Piece, { why, fixed }: Extract<Verdict, { passes: false }>): Promise<Passed> {
    const kept = rule.outcome === "fix" ? sameKind(piece.value, fixed) : undefined;
    const outcome: GuardrailOutcome = rule.outcome === "fix" && kept === undefined ? "raise" : rule.outcome;
    const problem = problemOf(rule, piece, why);
    const { on, tool } = piece;
    const { ofAgent = 0 } = this.#order;
    const data = { rule: rule.name, on, ...(tool === undefined ? {} : { tool }), outcome, why: why.slice(0, limits.guardrailWhyMax) };
    this.decided.push(`${rule.name}: ${outcome}`);
    await this.#context.tell("guardrail.decided", piece.place * 100 + index, data);
    switch (outcome) {
      case "fix":
        return { value: kept! };
      case "human":
        return { value: piece.value, question: { ...questionOf(rule, problem), ...(index < ofAgent ? { isAgents: true as const } : {}) } };
      case "retry":
        throw new SentBack(problem);
      case "raise":
        throw Fault.of({ ...problem, ...(this.usages.length > 0 ? { usage: boundedUsage([], this.usages) } : {}) });
    }
  }

  /** A call that judges is none of the step's own. Its rule's number tells it apart: agent and step may name theirs alike. */
  #contextOf(rule: Guardrail, { on, place }: Pick<Piece, "on" | "place">): StepContext {
    const context = this.#context;
    return {
      ...context,
      idempotencyKey: `${context.idempotencyKey}:${this.#order.rules.indexOf(rule)}.${rule.name}.${on}${place}`,
      timeoutMs: Math.max(1, this.#endsAt - Date.now()),
    };
  }
}

interface Ruling {
  rule: Guardrail;
  index: number;
}

const concerns = ({ on, tools }: Guardrail, piece: Piece): boolean =>
  on.includes(piece.on) && (piece.tool === undefined || allows(tools, piece.tool));

function refuseLong({ name }: Guardrail, value: Json): void {
  const characters = textsOf(value).reduce((sum, text) => sum + text.length, 0);
  if (characters > limits.guardrailTextMax)
    throw new Fault("limit", `Guardrail ${name} reads up to ${limits.guardrailTextMax} characters; there are ${characters}.`);
}

const places: Record<GuardedPlace, string> = {
  input: "what the model is asked",
  toolResults: "what a tool gave",
  output: "the answer",
  toolCalls: "a call",
};

function problemOf({ name }: Guardrail, { on, tool }: Piece, why: string): Problem {
  const what = tool === undefined ? places[on] : `${places[on]} (${tool})`;
  return makeProblem("guardrail", `Guardrail ${name} did not let ${what} pass: ${why.slice(0, limits.guardrailWhyMax)}`, {
    rule: name,
    on,
    ...(tool === undefined ? {} : { tool }),
  });
}

const questionOf = ({ assignees = [], expiresAfter }: Guardrail, problem: Problem): GuardrailQuestion => ({
  title: problem.detail.slice(0, limits.errorDetailMax),
  payload: null,
  assignees,
  expiresAfter: expiresAfter ?? null,
  problem,
});

/** Among what a step's models say: which call of them, and what of it. */
export const placeOf = (call: number, index = 0): number => (call + 1) * 1_000 + index;

/** A text stays a text, arguments stay an object; otherwise there is nothing that could stand there. */
function sameKind(value: Json, fixed: Json | undefined): Json | undefined {
  if (fixed === undefined || usesReservedKey(typeof fixed === "string" ? (parsed(fixed) ?? null) : fixed)) return undefined;
  if (typeof value === "string") return typeof fixed === "string" ? fixed : JSON.stringify(fixed);
  const given = typeof fixed === "string" ? parsed(fixed) : fixed;
  return isObject(value) === isObject(given) && Array.isArray(value) === Array.isArray(given) ? given : undefined;
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function verdictOf({ name, tool }: Extract<Guardrail, { type: "custom" }>, given: Json): Verdict {
  if (!isObject(given) || typeof given["passes"] !== "boolean")
    throw new Fault("tool", `Guardrail ${name}: ${tool} must give {passes, why, fixed}.`, { extra: { retryable: false } });
  const { passes, why, fixed } = given;
  if (passes) return { passes };
  return { passes: false, why: typeof why === "string" ? why : `${tool} says so.`, ...(fixed === undefined ? {} : { fixed }) };
}
