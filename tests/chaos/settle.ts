import { setTimeout as sleep } from "node:timers/promises";
import { isTerminal } from "../../contracts/events.ts";
import type { Campaign } from "./campaigns.ts";
import { detailsOf, executionsOf, listedExecutions, persistently, requestsOf, rowsOf } from "./collect.ts";
import { agreeingStatuses } from "./invariants/agreeing-statuses.ts";
import type { Evidence, Invariant } from "./invariants/evidence.ts";
import { expectedEnds } from "./invariants/expected-ends.ts";
import { nothingLost } from "./invariants/nothing-lost.ts";
import { numberedEvents } from "./invariants/numbered-events.ts";
import { oneEffect } from "./invariants/one-effect.ts";
import { promptAnswers } from "./invariants/prompt-answers.ts";
import { quietAfterCancel } from "./invariants/quiet-after-cancel.ts";
import type { Trial } from "./trial.ts";

const always: Invariant[] = [oneEffect, nothingLost, expectedEnds, numberedEvents, agreeingStatuses, quietAfterCancel, promptAnswers];

const endsWithinMs = 60_000;
/** The row may lag behind Temporal for so long. */
const agreesWithinMs = 10_000;
const lookEveryMs = 250;

/** Wait until every run has ended and the books agree, at most as long as they may take; then judge. */
export async function settle(trial: Trial, campaign: Campaign): Promise<{ broken: string[]; settledMs: number }> {
  const began = Date.now();
  const { patience } = trial.options;
  const lags = new Lags((campaign.agreesWithinMs ?? agreesWithinMs) * patience);
  for (;;) {
    const books = await persistently(() => openBooks(trial));
    const isSettled = lags.look(books).length === 0 && haveEnded(trial, books);
    const settledMs = Date.now() - began;
    if (isSettled || settledMs > endsWithinMs * patience) {
      const evidence = await persistently(() => collect(trial));
      const broken = [...always, ...(campaign.also ?? [])].flatMap((invariant) => invariant(evidence));
      return { broken: [...new Set([...lags.tooLong, ...broken])], settledMs };
    }
    await sleep(lookEveryMs);
  }
}

type Books = Pick<Evidence, "rows" | "executions">;

async function openBooks({ stage, workflows }: Trial): Promise<Books> {
  const [rows, executions] = await Promise.all([rowsOf(stage.database, workflows), listedExecutions(stage.temporal, workflows)]);
  return { rows, executions };
}

function haveEnded({ starts }: Trial, { rows, executions }: Books): boolean {
  const ended = new Set(rows.filter(({ status }) => isTerminal(status)).map(({ run }) => run));
  const areClosed = executions.every(({ run, status }) => isTerminal(status) && ended.has(run));
  return areClosed && starts.every(({ run, isAccepted }) => !isAccepted || ended.has(run));
}

/** Temporal first: what it has closed, the others must know. */
async function collect({ stage, workflows, starts, cancels, caller, id, options }: Trial): Promise<Evidence> {
  const asked = starts.map(({ run }) => run);
  const executions = await executionsOf(stage.temporal, workflows, asked);
  const rows = await rowsOf(stage.database, workflows);
  const details = await detailsOf(
    stage.database,
    rows.map(({ run }) => run),
  );
  const { patience } = options;
  return { starts, cancels, patience, answers: caller.answers, requests: requestsOf(stage.ledger, id), executions, rows, ...details };
}

/** How long rows and executions have disagreed; what is still under way at one look may agree at the next. */
class Lags {
  readonly #allowedMs: number;
  readonly #since = new Map<string, number>();
  readonly tooLong: string[] = [];

  constructor(allowedMs: number) {
    this.#allowedMs = allowedMs;
  }

  look(books: Books): string[] {
    const now = Date.now();
    const lagging = agreeingStatuses({ ...books, starts: [], answers: [], requests: [], steps: [], events: [], cancels: [], patience: 1 });
    for (const sentence of this.#since.keys()) if (!lagging.includes(sentence)) this.#since.delete(sentence);
    for (const sentence of lagging) {
      const since = this.#since.get(sentence) ?? now;
      this.#since.set(sentence, since);
      if (now - since > this.#allowedMs) this.tooLong.push(`for more than ${this.#allowedMs / 1_000} s ${sentence}`);
    }
    return lagging;
  }
}
