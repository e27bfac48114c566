import type { TokenUsage } from "../contracts/model-calls.ts";
import { Fault, makeProblem, messageOf, type Problem } from "../contracts/faults.ts";
import type { JsonSchema } from "../contracts/json.ts";
import type { Quota } from "../contracts/quotas.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import { checkAnswer, type AnswerCheck } from "./llm-output.ts";
import type { CallOutcome } from "./model-calls.ts";
import { noUsage, type ChatAnswer } from "./model-port.ts";

interface Judging {
  /** `provider/name` */
  label: string;
  schema: JsonSchema | undefined;
  /** Whether tools were offered: calls of others are no answer. */
  hasTools: boolean;
  /** What is to fit the schema; absent: its text. */
  text?: string;
  /** What is kept of it; absent: the same. */
  kept?: string;
  /** `retry.while`, of an answer that fits. */
  asksAgain?: (text: string) => boolean;
}

/** What an answer is worth. */
export function judge(said: ChatAnswer, judging: Judging): CallOutcome {
  const { label, schema, hasTools, text = said.text, kept = text, asksAgain = () => false } = judging;
  const { usage } = said;
  const unusable = unusableBecause(said, { isStructured: schema !== undefined, hasTools });
  if (unusable) return { status: "failed", usage, answer: kept, error: makeProblem("model_output", `${label} ${unusable}`) };
  const checked = schema && checkAnswer(text, schema);
  if (checked && checked.problems.length > 0) return { status: "unfit", usage, answer: kept, error: unfitProblem(label, checked) };
  if (checked && usesReservedKey(checked.value))
    return { status: "failed", usage, error: makeProblem("reserved_key", `${label} answered with the reserved key of stored values.`) };
  if (asks(asksAgain, text))
    return { status: "rejected", usage, answer: kept, error: makeProblem("model_output", "`retry.while` still holds.") };
  return { status: "answered", usage, answer: kept };
}

// An expression that fails is told with the step's output: the answer is paid for and stays.
function asks(asksAgain: NonNullable<Judging["asksAgain"]>, text: string): boolean {
  try {
    return asksAgain(text);
  } catch {
    return false;
  }
}

function unusableBecause(
  { finish, text, toolCalls }: ChatAnswer,
  { isStructured, hasTools }: { isStructured: boolean; hasTools: boolean },
): string | undefined {
  if (finish === "refusal") return `refused to answer: ${text.slice(0, 300) || "no reason given"}`;
  if (!hasTools && toolCalls.length > 0) return `asked for ${toolCalls[0]!.name.slice(0, 80)}, though it was given no tools.`;
  if (toolCalls.length === 0 && text.trim() === "") return "gave an empty answer.";
  // Of a value that was cut the check says more; of calls that were cut nobody knows what they were to be.
  if (finish === "length" && !isStructured)
    return "reached its output limit; raise `maxOutputTokens`, ask for a shorter answer, or split the task.";
  return undefined;
}

function unfitProblem(label: string, { problems }: AnswerCheck): Problem {
  const [first] = problems;
  const detail = `${label} gave no answer that fits outputSchema: ${first?.pointer || "/"} ${first?.message ?? ""}`;
  return makeProblem("model_output", detail, { problems: problems.slice(0, 20).map(({ pointer, message }) => ({ pointer, message })) });
}

/** What is known of a call that gave no answer. A defect is settled as any: it was paid for, and must not be again. */
export function outcomeOfError(error: unknown, signal: AbortSignal): CallOutcome {
  if (signal.aborted)
    return { status: "canceled", usage: null, error: makeProblem("canceled", "The step was left before the model answered.") };
  if (!(error instanceof Fault)) return { status: "failed", usage: null, error: makeProblem("defect", messageOf(error)) };
  const { spent, told, ...problem } = error.problem;
  const usage = usageOf(error.problem, spent);
  return {
    status: "failed",
    usage,
    ...(usage?.isEstimated ? { isCut: true } : {}),
    error: problem as Problem,
    ...(told ? { told: told as unknown as Quota } : {}),
  };
}

/** A provider that refuses takes no money; what one that answered and then broke has taken is known only when it said so. */
function usageOf(problem: Problem, spent: unknown): TokenUsage | null {
  if (spent) return spent as TokenUsage;
  return typeof problem["upstreamStatus"] === "number" || problem.code === "context_too_long" ? noUsage : null;
}
