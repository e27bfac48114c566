import { usageOf, type ModelReply } from "./model-reply.ts";
import type { ModelServer } from "./model-server.ts";

export interface Limits {
  requests: number;
  tokens: number;
  windowMs: number;
}

interface Taken {
  at: number;
  tokens: number;
}

/** Makes a model server refuse, as providers do, what is above its limits: in any window, wherever it begins, and with the tokens of the answer. */
export class LimitedModel {
  readonly taken: Taken[] = [];
  refused = 0;
  readonly #limits: Limits;

  constructor(server: ModelServer, limits: Limits, reply: (prompt: string) => ModelReply) {
    this.#limits = limits;
    server.answerWith(({ body }) => this.#answer(reply(String(body.messages.at(-1)?.content ?? ""))));
  }

  forget(): void {
    this.taken.length = 0;
    this.refused = 0;
  }

  #answer(reply: ModelReply): ModelReply {
    const { requests, tokens: tokensMax, windowMs } = this.#limits;
    const now = Date.now();
    const { inputTokens, outputTokens } = usageOf(reply);
    const tokens = inputTokens + outputTokens;
    const within = this.taken.filter(({ at }) => at > now - windowMs);
    const sum = within.reduce((all, each) => all + each.tokens, tokens);
    if (within.length < requests && sum <= tokensMax) {
      this.taken.push({ at: now, tokens });
      return reply;
    }
    this.refused += 1;
    return { status: 429, headers: { "retry-after-ms": String(Math.ceil((within[0]?.at ?? now) + windowMs - now)) } };
  }
}
