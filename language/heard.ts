import type { JsonObject } from "../contracts/json.ts";
import type { UnreadEvent } from "../contracts/messages.ts";
import type { Plan } from "./plan.ts";
import { findStep } from "./plan-steps.ts";

/** `event.kept` or, with the step that took it, `event.received`. */
export interface LoggedEvent {
  data: JsonObject;
  step?: string | null;
  /** Which one the step took. */
  ordinal: number;
}

interface Kept {
  /** Of the run that they come from. */
  plan: Plan;
  isKept: (path: string) => boolean;
  hasFailed: (path: string) => boolean;
  /** As `Question.heard`. */
  heard: ReadonlySet<string>;
}

/**
 * Which events of a run's log another run has to hear, one after the other: those that nobody had taken, and what a `listen` took that is not
 * taken over. A stream hears all of it again, its finished handling is found in the ledger; what another `listen` took and then
 * failed with is spent.
 */
export function leftToHear(events: LoggedEvent[], { plan, isKept, hasFailed, heard }: Kept): UnreadEvent[] {
  const left = new Map<string, UnreadEvent & { ordinal: number }>();
  for (const { step, ordinal, data } of events) {
    const { heardBy, waitsFor: _, attempt: __, ...event } = data;
    const id = event["id"] as string;
    if (step == null) left.set(id, { ...unreadOf(event, heardBy), ordinal });
    else if (isKept(step) || event["at"] === undefined) left.delete(id);
    else if (isStream(plan, step) ? heard.has(step) : !hasFailed(step)) left.set(id, { ...unreadOf(event, step), ordinal });
    else left.delete(id);
  }
  const all = [...left.values()];
  const again = all.filter(({ heardBy }) => heardBy !== undefined).toSorted((a, b) => a.ordinal - b.ordinal);
  return [...again, ...all.filter(({ heardBy }) => heardBy === undefined)].map(({ event, heardBy }) =>
    heardBy === undefined ? { event } : { event, heardBy },
  );
}

function unreadOf({ event, id, data = null, at }: JsonObject, heardBy: unknown): UnreadEvent {
  // As `receivedEvent` has told them.
  const unread = { event: event as string, id: id as string, data, at: Date.parse(at as string) };
  return { event: unread, ...(typeof heardBy === "string" ? { heardBy } : {}) };
}

function isStream(plan: Plan, path: string): boolean {
  const step = findStep(plan, path);
  return step?.type === "listen" && step.stream !== undefined;
}
