import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { UpdateArguments } from "../contracts/messages.ts";
import type { Step } from "../language/plan.ts";
import type { Here } from "./context.ts";
import type { Walk } from "./walk.ts";

type Action = UpdateArguments["attend"]["action"];

/** Steps that failed for good and wait for a person (`onError: park`). */
export class Attention {
  readonly #walk: Walk;
  readonly #parked = new Map<string, (request: UpdateArguments["attend"]) => void>();

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  get isNeeded(): boolean {
    return this.#parked.size > 0;
  }

  async wait({ step, path, attempt, context }: Here<Step>, problem: Problem): Promise<Action> {
    const about = { path, lane: context.lane, attempt };
    if (!this.#walk.ledger.place(path)?.["parked"]) this.#walk.tell("step.parked", about, { type: step.type, error: problem as Json });
    this.#walk.ledger.note(path, { parked: true });
    // Until it is in the record nobody knows that they are needed, however long a call beside it takes.
    this.#walk.journal.hurry();
    const { action, by } = await this.#walk.inspector.waiting(path, "a person: retry, skip or fail", () =>
      context.scope.guard<UpdateArguments["attend"]>((resolve) => {
        this.#parked.set(path, resolve);
        return () => this.#parked.delete(path);
      }),
    );
    this.#walk.tell("step.attended", about, { action, by, type: step.type });
    return action;
  }

  /** Fault `step_not_parked` when the step does not wait. */
  async attend(request: UpdateArguments["attend"]): Promise<void> {
    // After a crash the record may know a parked step before the walk is there again: at a quiet moment it is.
    if (!this.#parked.has(request.path)) await this.#walk.port.until(() => true);
    this.#check(request);
    const resolve = this.#parked.get(request.path)!;
    this.#parked.delete(request.path);
    resolve(request);
    await this.#walk.port.until(() => true);
    await this.#walk.journal.drain();
  }

  #check({ path }: UpdateArguments["attend"]): void {
    if (this.#parked.has(path)) return;
    const parked = [...this.#parked.keys()].join(", ") || "none";
    throw new Fault("step_not_parked", `Step ${path} does not need attention; steps that do: ${parked}.`);
  }
}
