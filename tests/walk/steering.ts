import { Fault } from "../../contracts/faults.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { Walk } from "../../workflows/walk.ts";
import { attended } from "./people.ts";
import type { PlainPort } from "./plain-port.ts";
import { createRandom } from "./random-definition.ts";
import { planOf } from "./plan-of.ts";

export type Act =
  | { at: number; what: "pause"; timers: "run" | "freeze" }
  | { at: number; what: "resume" }
  | { at: number; what: "cancel" }
  | { at: number; what: "signal"; event: string; id: string }
  | { at: number; what: "attend"; action: "retry" | "skip" | "fail" }
  | { at: number; what: "decide"; decision: "approve" | "reject" }
  | { at: number; what: "change"; seed: number };

/** One to six acts at random moments of a run that takes so long; every pause is followed by a resume. */
export function randomActs(seed: number, definition: JsonObject, ms: number): Act[] {
  const random = createRandom(seed ^ 0x3ac5);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  const acts: Act[] = [];
  const count = 1 + Math.floor(random() * 6);
  for (let n = 0; n < count; n++) {
    const at = Math.floor(random() * ms);
    const what = pick(["pause", "pause", "pause", "signal", "attend", "decide", "change", "change", "cancel"] as const);
    if (what === "pause")
      acts.push({ at, what, timers: pick(["run", "freeze"]) }, { at: at + 1 + Math.floor(random() * ms * 0.4), what: "resume" });
    if (what === "cancel" && random() < 0.5) acts.push({ at, what });
    if (what === "signal")
      acts.push({ at, what, event: pick([...eventsOf(definition), "nobody"]), id: `early${Math.floor(random() * 3)}` });
    if (what === "attend") acts.push({ at, what, action: pick(["retry", "skip", "fail"]) });
    if (what === "decide") acts.push({ at, what, decision: pick(["approve", "reject"]) });
    if (what === "change") acts.push({ at, what, seed: Math.floor(random() * 1e9) });
  }
  return acts.toSorted((a, b) => a.at - b.at);
}

const eventsOf = (definition: JsonObject): string[] =>
  [...JSON.stringify(definition).matchAll(/"event":"(\w+)"/g)].map(([, name]) => name!);

/** What the run walks at its end. */
export interface Steered {
  definition: JsonObject;
  /** Changes of its plan that it has taken in, by their ids. */
  taken: string[];
}

/** Do it all to a run, beside the people who answer. */
export function steerBy(acts: readonly Act[], steered: Steered): (walk: Walk, port: PlainPort) => void {
  return (walk, port) => {
    attended(walk, port);
    const definitions = new Map<string, JsonObject>();
    const { heard } = port;
    port.heard = (event) => {
      heard!(event);
      if (event.type === "plan.changed") steered.definition = definitions.get(event.data["planHash"] as string)!;
    };
    for (const act of acts) port.at(act.at, () => void perform(act, { walk, port, steered, definitions }));
  };
}

interface Around {
  walk: Walk;
  port: PlainPort;
  steered: Steered;
  definitions: Map<string, JsonObject>;
}

async function perform(act: Act, around: Around): Promise<void> {
  const { walk, port } = around;
  if (walk.isOver) return;
  try {
    if (act.what === "pause") await walk.pause.pause({ by: "ada", scope: "run", timers: act.timers });
    if (act.what === "resume") await walk.pause.resume({ by: "ada", scope: "run" });
    if (act.what === "cancel") walk.cancel("enough");
    if (act.what === "signal") walk.mailbox.deliver({ event: act.event, data: { n: 1 }, id: act.id, at: port.now() });
    if (act.what === "attend") await onLast(port, "step.parked", (path) => walk.attention.attend({ path, action: act.action, by: "bob" }));
    if (act.what === "decide")
      await onLast(port, "approval.requested", (path) =>
        walk.approvals.decide({ path, decision: act.decision, by: { name: "bob", kind: "person", roles: [] } }),
      );
    if (act.what === "change") change(act.seed, around);
  } catch (error) {
    if (!(error instanceof Fault) || !refusals.has(error.problem.code)) throw error;
  }
}

const refusals = new Set(["step_not_parked", "approval_closed", "approval_voted", "plan_refused", "conflict"]);

async function onLast(port: PlainPort, type: string, act: (path: string) => Promise<unknown>): Promise<void> {
  const asked = port.log.findLast((event) => event.type === type);
  if (asked) await act(asked.step!);
}

function change(seed: number, { walk, steered, definitions }: Around): void {
  const { hash: of } = walk.changes.plan;
  // Of what an earlier change that waits yet will have left.
  const after = changed(definitions.get(of) ?? steered.definition, seed);
  const made = compiled(after);
  if (!made) return;
  const plan = { ...made, hash: `hash${seed}` };
  definitions.set(plan.hash, after);
  walk.changes.ask({ plan, kind: "patch", by: "ada", of, id: plan.hash });
  if (walk.changes.plan.hash === plan.hash) steered.taken.push(plan.hash);
}

/** The definition with one step added, replaced or removed somewhere. */
function changed(definition: JsonObject, seed: number): JsonObject {
  const random = createRandom(seed);
  const copy = structuredClone(definition);
  const lists = listsOf(copy);
  const list = lists[Math.floor(random() * lists.length)]!;
  const at = Math.floor(random() * (list.length + 1));
  const step = { id: `n${seed}`, type: "tool", tool: "test.number", arguments: { n: 1 }, retry: { maxAttempts: 1 } };
  const kind = Math.floor(random() * 3);
  if (kind === 0) list.splice(at, 0, step);
  else if (kind === 1 && at < list.length) list[at] = { ...step, id: list[at]!["id"]! };
  else list.splice(Math.min(at, list.length - 1), 1);
  return copy;
}

function listsOf(value: Json): JsonObject[][] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return [...(isSteps(value) ? [value as JsonObject[]] : []), ...value.flatMap(listsOf)];
  return Object.values(value).flatMap(listsOf);
}

const isSteps = (list: Json[]): boolean =>
  list.length > 0 && list.every((each) => typeof each === "object" && each !== null && "type" in each);

function compiled(definition: JsonObject): ReturnType<typeof planOf> | undefined {
  try {
    return planOf(definition);
  } catch {
    return undefined;
  }
}
