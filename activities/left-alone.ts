import { makeProblem } from "../contracts/faults.ts";
import { Delayed } from "./delayed.ts";
import type { CallOutcome } from "./model-calls.ts";
import { noUsage } from "./model-port.ts";
import type { Routed } from "./models.ts";

/** A model that keeps failing is left alone for a while: where there is another to ask, the row says so. */
export const skipped = (routed: Routed): CallOutcome => ({
  status: "skipped",
  usage: noUsage,
  error: makeProblem("model", `${labelOf(routed)} keeps failing and is not asked for ${Math.ceil((routed.openForMs ?? 0) / 1_000)} s.`, {
    retryable: true,
    retryAfterMs: routed.openForMs ?? 0,
  }),
});

/** Nobody else is there to ask: the step waits, which takes no try. Those who wait for one model do not all come back at one moment. */
export const untilWell = (routed: Routed, openForMs: number): Delayed =>
  new Delayed({ for: `${labelOf(routed)}, which keeps failing`, ms: Math.ceil(openForMs + Math.random() * SPREAD_MS), isOutage: true });

const SPREAD_MS = 5_000;

const labelOf = ({ provider, name }: Routed): string => `${provider}/${name}`;
