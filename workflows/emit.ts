import { Fault } from "../contracts/faults.ts";
import { OWN_RUN_ID_PATTERN, RUN_ID_PATTERN, runIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import type { Json } from "../contracts/json.ts";
import type { ExternalEvent } from "../contracts/messages.ts";
import type { Step, Template } from "../language/plan.ts";
import { admitAbove } from "./agents-above.ts";
import { summaryOf } from "./calls.ts";
import type { Here, HereOf, Outcome } from "./context.ts";
import type { Walk } from "./walk.ts";

/**
 * Send an event to one run, or to all that wait for it.
 * Its id is the step's key, so that however often it is sent it counts once.
 */
export async function emit(walk: Walk, here: HereOf<"emit">): Promise<Outcome> {
  const { step, path, context } = here;
  const to = step.to && receiver(path, await walk.value(step.to, context.frame));
  const event: ExternalEvent = {
    event: await eventName(walk, step.event, here),
    data: await walk.shrink(await walk.value(step.data, context.frame), path),
    id: walk.effectKey(path),
    at: walk.port.now(),
  };
  await admitAbove(walk, path);
  return to === undefined ? toAll(walk, here, event) : toOne(walk, here, { to, event });
}

async function toOne(walk: Walk, here: HereOf<"emit">, { to, event }: { to: string; event: ExternalEvent }): Promise<Outcome> {
  const { path, attempt, context } = here;
  const { tenant, id } = walk.options.run;
  // Temporal lets no workflow signal itself.
  if (runIdOf(tenant, to) === id) walk.mailbox.post(event);
  else await walk.outside(() => walk.inspector.busy(() => walk.port.send(to, event, context.scope)));
  walk.tell("event.emitted", { path, lane: context.lane, attempt }, { event: event.event, to });
  return { output: { event: event.event, id: event.id, to } };
}

async function toAll(walk: Walk, here: HereOf<"emit">, event: ExternalEvent): Promise<Outcome> {
  const { path, attempt, context } = here;
  const request = { event, path, attempt, summary: await summaryOf(walk, here) };
  const runs = await walk.outside(() => walk.inspector.busy(() => walk.port.broadcast(request, context.scope)), true);
  walk.tell("event.emitted", { path, lane: context.lane, attempt }, { event: event.event, to: null, runs });
  return { output: { event: event.event, id: event.id, to: null, runs } };
}

function receiver(path: string, to: Json): string {
  if (typeof to !== "string")
    throw new Fault("expression", `\`to\` of ${path} must be a run's id; it is ${JSON.stringify(to)}.`, { instance: path });
  if (!runIdPattern.test(to) || to.length > 200) throw new Fault("not_found", `\`to\` of ${path} is no run's id.`, { instance: path });
  return to;
}

/** The name of an event, sent or waited for. */
export async function eventName(walk: Walk, template: Template, { path, context }: Here<Step>): Promise<string> {
  const name = await walk.value(template, context.frame);
  if (typeof name === "string" && name !== "" && name.length <= limits.eventNameMax) return name;
  const given = JSON.stringify(name).slice(0, 80);
  throw new Fault("expression", `\`event\` of ${path} must be a text of 1 to ${limits.eventNameMax} characters; it is ${given}.`, {
    instance: path,
  });
}

const runIdPattern = new RegExp(`${RUN_ID_PATTERN}|${OWN_RUN_ID_PATTERN}`);
