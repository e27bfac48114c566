import { budgetUnits, scopesOf, toldAs, wholeNano, type BudgetRef, type Raise, type Shortage } from "../contracts/budgets.ts";
import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Step } from "../language/plan.ts";
import type { Attended } from "./attention.ts";
import type { Here } from "./context.ts";
import { runInside } from "./inside.ts";
import { Canceled } from "./scope.ts";
import type { Walk } from "./walk.ts";

/**
 * A step whose budget asks (`onExceed: ask`) waits as any that waits for a higher one; beside that people are asked, and whichever
 * word comes first counts.
 */
export async function waitAndAsk(walk: Walk, here: Here<Step>, problem: Problem): Promise<Attended> {
  const raises = problem["onExceed"] === "ask" ? raisesFor(here.context.budgets, problem) : [];
  if (raises.length === 0) return walk.attention.wait(here, problem);
  if (walk.ledger.place(here.path)?.["waitsSince"] === undefined) walk.ledger.note(here.path, { waitsSince: walk.port.now() });
  return here.context.scope.within(async (scope) => {
    const within = { ...here, context: { ...here.context, scope } };
    const asking = ask(walk, within, { problem, raises }).catch(unlessCanceled);
    try {
      return await walk.attention.wait(within, problem);
    } finally {
      scope.cancel("it may go on");
      await asking;
    }
  });
}

/** Of budgets that ask different people, those of the first: the others ask when these are raised. */
function raisesFor(budgets: readonly BudgetRef[], problem: Problem): Raise[] {
  const short = ((problem["budgets"] ?? []) as Shortage[]).flatMap((shortage) => {
    const ref = shortage.onExceed === "ask" && budgets.find(({ scope }) => scope === shortage.scope);
    return ref ? [{ ref, raise: raiseOf(ref, shortage) }] : [];
  });
  const deciders = ({ assignees = [] }: BudgetRef): string => JSON.stringify(assignees);
  return short.filter(({ ref }) => deciders(ref) === deciders(short[0]!.ref)).map(({ raise }) => raise);
}

/** As much again as the definition gives, and what the call needs at the least. */
function raiseOf({ caps }: BudgetRef, { scope, unit, max, used, needed }: Shortage): Raise {
  const own = budgetUnits.find((each) => toldAs[each].name === unit)!;
  const { by } = toldAs[own];
  const cap = Math.max(Math.max(max, used) + (caps[own] ?? 0) / by, used + needed);
  return { scope, unit, max, used, needed, cap: wholeNano(cap * by) / by };
}

interface Asked {
  problem: Problem;
  raises: Raise[];
}

async function ask(walk: Walk, here: Here<Step>, asked: Asked): Promise<void> {
  const { path } = here;
  const { attention } = walk;
  const scopes = scopesOf(asked.problem).join(" ");
  if (walk.ledger.place(`${path}.budget`)) attention.asked.add(scopes);
  else await untilItMayAsk(walk, here, scopes);
  try {
    const answer = (await runInside(walk, here, "", { steps: [questionOf(here, asked.raises)] })) as JsonObject;
    const by = answer["by"] as string;
    if (answer["approved"] !== true)
      return attention.answer((problem) => problem["onExceed"] === "ask" && scopesOf(problem).join(" ") === scopes, { action: "fail", by });
    const waitedMs = walk.port.now() - (walk.ledger.place(path)?.["waitsSince"] as number);
    await walk.outside(() => walk.port.raise({ path, by, raises: asked.raises, approved: answer["data"]!, waitedMs }));
    const raised = asked.raises.map(({ scope }) => scope);
    attention.answer((problem) => scopesOf(problem).some((scope) => raised.includes(scope)), { action: "retry", by });
  } finally {
    attention.asked.delete(scopes);
    // Asked again it is another question.
    walk.ledger.forget(`${path}.budget`);
  }
}

/** One question for all steps that wait for the same budgets. Left at once: who may go on must not meet a quiet moment before it is noted. */
async function untilItMayAsk(walk: Walk, { context: { scope } }: Here<Step>, scopes: string): Promise<void> {
  const { asked } = walk.attention;
  const isFree = (): boolean => scope.isCanceled || !asked.has(scopes);
  const free = (resolve: () => void): (() => void) => {
    void walk.port.until(isFree).then(resolve);
    return () => undefined;
  };
  do await scope.guard<void>(free);
  while (!isFree());
  scope.throwIfCanceled();
  // At once: of several that are told together that nobody asks, one does.
  asked.add(scopes);
}

function questionOf({ path, context }: Here<Step>, raises: Raise[]): Step {
  const shown = (unit: string, amount: number): string => (unit === toldAs.wallTimeMs.name ? `${amount / 1_000} s` : `${amount}`);
  const wishes = raises.map(({ scope, unit, max, cap }) => `${unit} of ${scope} from ${shown(unit, max)} to ${shown(unit, cap)}`);
  const title = `${path} needs more than its budget leaves. Raise ${wishes.join(", ")}?`.slice(0, limits.errorDetailMax);
  const { assignees = [] } = context.budgets.find(({ scope }) => scope === raises[0]!.scope)!;
  return {
    id: "budget",
    needs: [],
    export: [],
    catch: [],
    onError: "fail",
    type: "approval",
    title: { lit: title },
    payload: { lit: { step: path, budgets: raises } as unknown as Json },
    assignees: { lit: assignees },
    editable: true,
    form,
  };
}

/** Of a budget that is left out, or not found here, nothing is raised. */
const form: JsonSchema = {
  type: "object",
  required: ["budgets"],
  properties: {
    budgets: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        required: ["scope", "unit", "cap"],
        properties: { scope: { type: "string" }, unit: { type: "string" }, cap: { type: "number", minimum: 0 } },
      },
    },
  },
};

/** Where no question can be asked, the step waits for its budget all the same. */
function unlessCanceled(error: unknown): void {
  if (!(error instanceof Canceled || error instanceof Fault)) throw error;
}
