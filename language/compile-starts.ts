import type { Definition } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { defaults } from "../contracts/limits.ts";
import { conditionOf, optional, templateOf } from "./compile-values.ts";
import { parseDuration } from "./duration.ts";
import { fill } from "./expression/evaluate.ts";
import type { Concurrency, EventTrigger, Plan, ScheduleTrigger, Trigger, WebhookTrigger } from "./plan.ts";

/** What decides when runs start. */
export const startsOf = (definition: Definition): Pick<Plan, "concurrency" | "triggers"> => ({
  ...(definition.concurrency ? { concurrency: concurrencyOf(definition) } : {}),
  ...(definition.triggers?.length ? { triggers: definition.triggers.map((trigger) => triggerOf(trigger, definition)) } : {}),
});

const concurrencyOf = ({ name, concurrency }: Definition): Concurrency => ({
  key: concurrency?.key === undefined ? { lit: name } : templateOf(concurrency.key),
  limit: concurrency?.limit ?? 1,
  onLimit: concurrency?.onLimit ?? "queue",
});

type Given = NonNullable<Definition["triggers"]>[number];

function triggerOf({ schedule, webhook, event }: Given, definition: Definition): Trigger {
  if (schedule) return scheduleOf(schedule);
  return webhook ? webhookOf(webhook, definition) : eventOf(event!);
}

function scheduleOf({ every, catchUp, overlap, input, ...fields }: NonNullable<Given["schedule"]>): ScheduleTrigger {
  return {
    type: "schedule",
    ...fields,
    ...(every === undefined ? {} : { everyMs: parseDuration(every) }),
    overlap: overlap ?? "skip",
    catchUpMs: catchUp === undefined ? defaults.scheduleCatchUpMs : parseDuration(catchUp),
    input: fixed(input ?? {}),
  };
}

// Without expressions, but `$${` may stand in it.
const fixed = (value: Json): Json => fill(templateOf(value), { name: () => undefined, step: () => undefined });

const webhookOf = ({ path, input, secret }: NonNullable<Given["webhook"]>, { name }: Definition): WebhookTrigger => ({
  type: "webhook",
  path: path ?? name,
  ...optional("input", input),
  ...(secret === undefined ? {} : { secret }),
});

const eventOf = ({ event, when, input }: NonNullable<Given["event"]>): EventTrigger => ({
  type: "event",
  event,
  ...(when === undefined ? {} : { when: conditionOf(when) }),
  ...optional("input", input),
});
