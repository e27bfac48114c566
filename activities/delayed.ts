import type { Delay } from "../contracts/activities.ts";

/** Work that has not begun, since its turn comes later: its step waits for that, and holds no worker meanwhile. */
export class Delayed extends Error {
  readonly delay: Delay;

  constructor(delay: Delay) {
    super(`Waits for ${delay.for}.`);
    this.delay = delay;
  }
}
