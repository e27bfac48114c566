import { defaults } from "../contracts/limits.ts";
import type { Manner } from "../contracts/model-calls.ts";
import type { CallNeed } from "./model-calls.ts";
import type { ChatRequest } from "./model-port.ts";
import { longestAnswer } from "./model-traits.ts";
import type { PricedModel } from "./prices.ts";

type Asked = Pick<ChatRequest, "messages" | "tools" | "outputSchema">;

/** What a call may take at most of its budgets: no more than the model is known to give. */
export function needOf(asked: () => Asked, { model, manner, endsAt }: { model: PricedModel; manner: Manner; endsAt: number }): CallNeed {
  const { maxOutputTokens = defaults.budgetOutputTokens } = manner;
  return { inputTokens: () => tokensMax(asked()), outputTokens: Math.min(maxOutputTokens, longestAnswer(model)), endsAt };
}

/** The same in the words of a request. */
export const mannerOf = ({ reasoning, maxOutputTokens }: Manner): Pick<ChatRequest, "reasoning" | "outputTokensMax"> => ({
  ...(reasoning === undefined ? {} : { reasoning }),
  ...(maxOutputTokens === undefined ? {} : { outputTokensMax: maxOutputTokens }),
});

/** A bound, not an estimate: no tokenizer makes more tokens of a text than it has bytes. */
function tokensMax(asked: Asked): number {
  return Buffer.byteLength(JSON.stringify(asked)) + (asked.tools || asked.outputSchema ? TOOL_PROMPT_TOKENS : 0);
}

/** What a provider may add of its own when there are tools. */
const TOOL_PROMPT_TOKENS = 600;
