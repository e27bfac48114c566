import { NANO, type Caps } from "../contracts/budgets.ts";
import { isObject, type Json } from "../contracts/json.ts";
import type { Spending } from "../contracts/run-end.ts";

/** What a run, and the children that it waited for, have asked of models: for people to see. What counts is in the record. */
export class Spent {
  #sum: Spending | undefined;

  constructor(sum?: Spending) {
    this.#sum = sum;
  }

  get sum(): Spending | undefined {
    return this.#sum;
  }

  /** Of a step's usage, or of a child's sum. */
  add(more: Json | undefined): void {
    if (!isObject(more) || typeof more["calls"] !== "number") return;
    const { calls, inputTokens, outputTokens, costUsd, isPartial } = more as { [Field in keyof Spending]?: number | boolean | null };
    const sum = this.#sum ?? { calls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 };
    this.#sum = {
      calls: sum.calls + Number(calls),
      inputTokens: sum.inputTokens + Number(inputTokens),
      outputTokens: sum.outputTokens + Number(outputTokens),
      costUsd: sum.costUsd + Number(costUsd ?? 0),
      ...(sum.isPartial || isPartial === true || costUsd === null ? { isPartial: true as const } : {}),
    };
  }

  /** One line, with what the run's own budget allows; none before the first call. */
  lines({ nanoUsd, tokens, modelCalls }: Caps): string[] {
    if (!this.#sum) return [];
    const { calls, inputTokens, outputTokens, costUsd, isPartial } = this.#sum;
    const of = (cap: number | undefined, unit: string): string => `${cap === undefined ? "" : ` of ${grouped(cap)}`} ${unit}`;
    const cost = `${isPartial ? "at least " : ""}${dollars(costUsd)}${nanoUsd === undefined ? "" : ` of ${dollars(nanoUsd / NANO)}`}`;
    return [
      `models: ${cost}, ${grouped(calls)}${of(modelCalls, calls === 1 && modelCalls === undefined ? "call" : "calls")}, ${grouped(inputTokens + outputTokens)}${of(tokens, "tokens")}`,
    ];
  }
}

const dollars = (amount: number): string => `$${amount.toFixed(4).replace(/(\.\d\d)00$/, "$1")}`;

// Not by the host's locale: what is shown is part of the history.
const grouped = (count: number): string => String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",");
