import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { ParkedStep, UpdateArguments } from "../contracts/messages.ts";
import type { Step } from "../language/plan.ts";
import { waitsForBudget } from "./budgets.ts";
import type { Here } from "./context.ts";
import { whileAsked } from "./task-time.ts";
import type { Walk } from "./walk.ts";

export type Attended = UpdateArguments["attend"];

interface Parked {
  problem: Problem;
  resolve: (attended: Attended) => void;
  /** As the run shows it that this one is a window of. */
  step: ParkedStep;
  /** It is not known whether the step has done what it should. */
  asksWhatHappened: boolean;
}

/** Steps that failed for good and wait for a person (`onError: park`), and those of which nobody knows what they have done. */
export class Attention {
  readonly #walk: Walk;
  readonly #parked = new Map<string, Parked>();
  /** Budgets that somebody is asked to raise. */
  readonly asked = new Set<string>();

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  get isNeeded(): boolean {
    return this.#parked.size > 0;
  }

  async wait({ step, path, attempt, context }: Here<Step>, problem: Problem): Promise<Attended> {
    const about = { path, lane: context.lane, attempt };
    if (!this.#walk.ledger.place(path)?.["parked"]) this.#walk.tell("step.parked", about, { type: step.type, error: problem as Json });
    this.#walk.ledger.note(path, { parked: true });
    // Until it is in the record nobody knows that they are needed, however long a call beside it takes.
    this.#walk.journal.hurry();
    const asksWhatHappened = problem.type === "effect_unknown";
    const question = asksWhatHappened ? "a person: has it happened? take, retry, skip or fail" : questionOf(problem);
    const answer = (): Promise<Attended> =>
      context.scope.guard<Attended>((resolve) => {
        this.#parked.set(path, { problem, resolve, asksWhatHappened, step: { path, type: step.type, for: question } });
        this.#walk.windowMail.changed();
        return () => this.#unpark(path);
      });
    const attended = await this.#walk.inspector.waiting(path, question, () => whileAsked(context, answer));
    this.#walk.tell("step.attended", about, { action: attended.action, by: attended.by, type: step.type });
    return attended;
  }

  /** Fault `step_not_parked` when the step does not wait, or does not ask what has happened. */
  async attend(request: Attended): Promise<void> {
    // After a crash the record may know a parked step before the walk is there again: at a quiet moment it is.
    if (!this.#parked.has(request.path)) await this.#walk.port.until(() => true);
    this.#check(request);
    this.#resolve(request);
    await this.#walk.port.until(() => true);
    await this.#walk.journal.drain();
  }

  /** One word for all whose problem it is about. */
  answer(isMeant: (problem: Problem) => boolean, word: Omit<Attended, "path">): void {
    for (const [path, { problem }] of this.#parked) if (isMeant(problem)) this.#resolve({ ...word, path });
  }

  #resolve(attended: Attended): void {
    const { resolve } = this.#parked.get(attended.path)!;
    this.#unpark(attended.path);
    resolve(attended);
  }

  #unpark(path: string): void {
    if (this.#parked.delete(path)) this.#walk.windowMail.changed();
  }

  parked(): ParkedStep[] {
    return [...this.#parked.values()].map(({ step }) => step);
  }

  #check({ path, action }: Attended): void {
    const known = this.#parked.get(path);
    if (known && (action !== "take" || known.asksWhatHappened)) return;
    if (known)
      throw new Fault("step_not_parked", `Step ${path} has failed: there is no result to take. Say retry, skip or fail.`, {
        instance: path,
      });
    const parked = [...this.#parked.keys()].join(", ") || "none";
    throw new Fault("step_not_parked", `Step ${path} does not need attention; steps that do: ${parked}.`);
  }
}

const questionOf = (problem: Problem): string =>
  waitsForBudget(problem) ? "a higher budget, or a person: retry, skip or fail" : "a person: retry, skip or fail";
