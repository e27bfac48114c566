import type { HttpFields } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import { isObject } from "../contracts/json.ts";
import type { Database } from "../prisma/client.ts";
import { admit } from "./admission.ts";
import { refuseInactive } from "./agent-state.ts";
import type { Budgets } from "./budgets.ts";
import { perhapsDone, type Http } from "./http.ts";
import type { Redact } from "./redact.ts";
import type { StepContext, Work } from "./step.ts";

/**
 * The `http` step. Budgets take it for a call of a tool. Its faults say `mayHaveHappened` of the step, not only of the last attempt: one after another that broke off may be
 * refused because it was done the first time.
 */
export const createHttpStep =
  ({ database, http, redact, budgets }: HttpStepDeps): Work<HttpFields> =>
  async (fields, _, context) => {
    try {
      const admitted = await admit(context, false, async () => {
        await refuseInactive(database, context.tenant, ...(context.agents ?? []));
        return budgets.spendToolCall(context, `${fields.method} by ${context.path}`);
      });
      const output = redact.value(await http(fields, { ...context, ...admitted }));
      return { output, checked: output["body"] ?? null };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const { type, mayHaveHappened } = error.problem;
      if (mayHaveHappened === true || type === "timeout" || !wereRefused(context)) throw perhapsDone(error);
      context.leave({ refused: context.temporalAttempt });
      throw error;
    }
  };

interface HttpStepDeps {
  database: Database;
  http: Http;
  redact: Redact;
  budgets: Budgets;
}

/** All attempts before this one: each says so to the next. One that says nothing may have been cut off at any moment. */
const wereRefused = ({ temporalAttempt, left = null }: StepContext): boolean =>
  temporalAttempt === 1 || (isObject(left) && left["refused"] === temporalAttempt - 1);
