import { liveChannel, type LiveHint } from "../contracts/messages.ts";
import type { Delta } from "./model-port.ts";
import type { Announce } from "./record.ts";

/** The first piece goes out at once, those that come within this time after one together. */
const gatherMs = 50;
const gatherCharactersMax = 4_096;

export interface LiveCall {
  runId: string;
  path: string;
  round: number;
  /** Number of the call within the step. */
  index: number;
}

/**
 * Tells whoever watches a run what a model is saying, while it says it. Nothing waits for it and nothing is kept: what is lost stands
 * in the answer.
 */
export class LiveTokens {
  readonly #announce: Announce;
  readonly #call: LiveCall;
  #index = 0;
  #gathered: Delta | undefined;
  #timer: NodeJS.Timeout | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(announce: Announce, call: LiveCall) {
    this.#announce = announce;
    this.#call = call;
    // What an earlier call has said counts no more.
    if (call.index > 0) this.#tell({ type: "model.reset" });
  }

  add(delta: Delta): void {
    if (this.#gathered && this.#gathered.kind !== delta.kind) this.flush();
    this.#gathered = { kind: delta.kind, text: (this.#gathered?.text ?? "") + delta.text };
    const waitMs = this.#toldAt + gatherMs - performance.now();
    if (waitMs <= 0 || this.#gathered.text.length >= gatherCharactersMax) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), waitMs);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const gathered = this.#gathered;
    this.#gathered = undefined;
    if (!gathered) return;
    this.#toldAt = performance.now();
    this.#tell({ type: "model.delta", index: this.#index, ...gathered });
    this.#index += 1;
  }

  #tell(hint: { type: "model.reset" } | ({ type: "model.delta"; index: number } & Delta)): void {
    const { runId, path: step, round: attempt, index: call } = this.#call;
    const told: LiveHint = { step, attempt, call, ...hint };
    this.#announce(liveChannel(runId), JSON.stringify(told));
  }
}
