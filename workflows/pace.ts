import { limits } from "../contracts/limits.ts";
import type { Port } from "./port.ts";

/**
 * How much the walk does in one go. A workflow task whose code runs for 5 s is cut off and tried again for ever, and holds up every other
 * run of its worker; so what is done is counted, in steps that are the same in every replay, and before it is too much the walk rests.
 */
export class Pace {
  #spent = 0;
  #resting: Promise<void> | undefined;

  spend(steps: number): void {
    this.#spent += steps;
  }

  /** Nothing that costs much may begin. Ask again after each rest: who was awake first may have used it up. */
  get isSpent(): boolean {
    return this.#resting !== undefined || this.#spent >= limits.activationStepsMax;
  }

  /** One rest for all who need it at this moment. */
  rest(port: Port): Promise<void> {
    this.#resting ??= port.rest().then(() => {
      this.#spent = 0;
      this.#resting = undefined;
    });
    return this.#resting;
  }
}
