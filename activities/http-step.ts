import type { HttpFields } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import { isObject } from "../contracts/json.ts";
import { perhapsDone, type Http } from "./http.ts";
import type { Redact } from "./redact.ts";
import type { StepContext, Work } from "./step.ts";

/**
 * The `http` step. Its faults say `mayHaveHappened` of the step, not only of the last attempt: one after another that broke off may be
 * refused because it was done the first time.
 */
export const createHttpStep =
  ({ http, redact }: { http: Http; redact: Redact }): Work<HttpFields> =>
  async (fields, _, context) => {
    try {
      const output = redact.value(await http(fields, context));
      return { output, checked: output["body"] ?? null };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const { type, mayHaveHappened } = error.problem;
      if (mayHaveHappened === true || type === "timeout" || !wereRefused(context)) throw perhapsDone(error);
      context.leave({ refused: context.temporalAttempt });
      throw error;
    }
  };

/** All attempts before this one: each says so to the next. One that says nothing may have been cut off at any moment. */
const wereRefused = ({ temporalAttempt, left = null }: StepContext): boolean =>
  temporalAttempt === 1 || (isObject(left) && left["refused"] === temporalAttempt - 1);
