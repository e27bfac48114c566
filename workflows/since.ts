import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { hashOf } from "../contracts/sha256.ts";
import type { Step } from "../language/plan.ts";
import type { Here } from "./context.ts";
import type { Walk } from "./walk.ts";

/**
 * What its models have said is paid: a step that a budget has refused a further call (of a judge, of a fallback) goes on with it when
 * the budget is raised. Whatever else makes it try again has it ask anew.
 */
interface GoesOn {
  /** The attempt. */
  since: number;
  /** What was asked, as a hash: of another question nothing has been said. */
  asked: string;
}

const isRefused = ({ code }: Problem): boolean => code === "budget_exceeded";

/** A budget has refused what the step asks. */
export function noteRefused(walk: Walk, here: Here<Step>, { asked, error }: { asked: Json; error: unknown }): void {
  if (!(error instanceof Fault) || !isRefused(error.problem)) return;
  const { since = here.attempt } = sinceOf(walk, here, asked);
  walk.ledger.note(here.path, { goesOn: { since, asked: hashOf(asked) } });
}

/** From where on the step goes on with what was said, or in which run. */
export function sinceOf(walk: Walk, { path, attempt }: Here<Step>, asked: Json): { since?: number; retryOf?: string } {
  const { origin } = walk.options;
  const known = walk.ledger.place(path)?.["goesOn"] as unknown as GoesOn | undefined;
  const goesOn = known && known.asked === hashOf(asked) ? { since: known.since } : {};
  const { since = attempt } = goesOn;
  return since === 1 && origin?.kind === "retry" ? { ...goesOn, retryOf: origin.run } : goesOn;
}

/** What a step that is to try again after this error keeps of its place. */
export function keptAfter(problem: Problem, place: Readonly<JsonObject> | undefined): JsonObject | undefined {
  const goesOn = isRefused(problem) ? place?.["goesOn"] : undefined;
  return goesOn === undefined ? undefined : { goesOn };
}
