import { budgetScopes, type BudgetRef } from "../contracts/budgets.ts";
import type { Problem } from "../contracts/faults.ts";
import type { Step } from "../language/plan.ts";
import type { Context } from "./context.ts";
import type { Given, Walk } from "./walk.ts";

/** Those of the runs above, then its own. A part of a run has its parent's. */
export function budgetsOfRun({ plan, part, budgets = [], ...roots }: Given): readonly BudgetRef[] {
  return plan.budget && !part ? [...budgets, { scope: budgetScopes.run(rootOf(roots)), ...plan.budget }] : budgets;
}

/** What is around the step, then its own. */
export function budgetsOfStep({ options }: Walk, { budget }: Step, path: string, { budgets }: Context): readonly BudgetRef[] {
  return budget ? [...budgets, { scope: budgetScopes.step(rootOf(options), path), ...budget }] : budgets;
}

const rootOf = ({ effectRoot, budgetRoot = effectRoot }: Pick<Given, "effectRoot" | "budgetRoot">): string => budgetRoot;

/** Refused by a budget that lets its steps wait until it is raised. */
export const waitsForBudget = ({ code, onExceed }: Problem): boolean => code === "budget_exceeded" && onExceed !== "fail";
