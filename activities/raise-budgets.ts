import type { Client } from "@temporalio/client";
import type { Activities } from "../contracts/activities.ts";
import { capOf, told, toldAs, type Caps, type Raise } from "../contracts/budgets.ts";
import { isObject, type Json } from "../contracts/json.ts";
import { audit } from "../prisma/audit.ts";
import { resolve } from "../prisma/blobs.ts";
import { raiseCaps, stepsOverBudget } from "../prisma/budgets.ts";
import type { Database } from "../prisma/client.ts";
import { retrySteps } from "./retry-steps.ts";

/** What a person has approved becomes the cap, unless it is higher by now. The run itself lets its own steps go on. */
export function createRaiseBudgets({ database, client }: { database: Database; client: Client }): Activities["raiseBudgets"] {
  return async ({ run: { tenant, id }, path, by, raises, approved, waitedMs }) => {
    const caps = approvedCaps(raises, await resolve(database, tenant, approved), waitedMs);
    await database.$transaction(async (transaction) => {
      const raised = await raiseCaps(transaction, tenant, { caps, by });
      for (const { scope, from, to } of raised) {
        const data = { scope, step: path, from: told(from), to: told(to) };
        await audit(transaction, { tenant, actor: by, action: "budget.raised", object: id, data });
      }
    });
    const waiting = await Promise.all([...caps.keys()].map((scope) => stepsOverBudget(database, tenant, scope)));
    const others = waiting.flat().filter(({ runId }) => runId !== id);
    await retrySteps(
      client,
      others.map((step) => ({ ...step, tenant })),
      { by, beat: () => undefined },
    );
  };
}

/** Of the budgets that were asked about, and of no others. */
function approvedCaps(raises: readonly Raise[], approved: Json, waitedMs: number): Map<string, Caps> {
  const said = isObject(approved) && Array.isArray(approved["budgets"]) ? approved["budgets"].filter(isObject) : [];
  const caps = new Map<string, Caps>();
  for (const { scope, unit } of raises) {
    const cap = said.find((each) => each["scope"] === scope && each["unit"] === unit)?.["cap"];
    const more = unit === toldAs.wallTimeMs.name ? waitedMs : 0;
    if (typeof cap === "number") caps.set(scope, { ...caps.get(scope), ...capOf(unit, cap + more) });
  }
  return caps;
}
