import { limits } from "../contracts/limits.ts";
import type { Port } from "./port.ts";

/**
 * How much the walk does in one go. A workflow task whose code runs for 5 s is cut off and tried again for ever, and holds up every other
 * run of its worker; so what is done is counted, in steps that are the same in every replay, and before it is too much the walk goes on in another task.
 */
export class Pace {
  #spent = 0;
  #coming: Promise<void> | undefined;

  spend(steps: number): void {
    this.#spent += steps;
  }

  /** Nothing that costs much may begin. Ask again in each task: who was awake first may have used it up. */
  get isSpent(): boolean {
    return this.#coming !== undefined || this.#spent >= limits.activationStepsMax;
  }

  /** One for all who need it at this moment. */
  nextTask(port: Port): Promise<void> {
    this.#coming ??= port.nextTask().then(() => {
      this.#spent = 0;
      this.#coming = undefined;
    });
    return this.#coming;
  }
}
