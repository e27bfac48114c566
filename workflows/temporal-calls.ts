import {
  ActivityCancellationType,
  ActivityFailure,
  ApplicationFailure,
  proxyActivities,
  proxyLocalActivities,
  sleep,
} from "@temporalio/workflow";
import { isProblem } from "../contracts/faults.ts";
import { defaults, limits } from "../contracts/limits.ts";
import type { Activities, StepCall, StepDone } from "../contracts/activities.ts";
import { faultOfCall, isTimeout } from "./failures.ts";
import { activityId, cancellable, timeouts } from "./operation.ts";
import type { CallRequest } from "./port.ts";
import { quick } from "./quick.ts";
import type { Scope } from "./scope.ts";
import { summaryText } from "./summary.ts";

/** How a call of our own workers is made: most by an activity, short ones first beside the walk. */
export class Calls {
  /** Local results that no task has made safe yet, as far as we can know: the command that carries them must stay below 4 MB. */
  #local = 0;

  // Not async, nor are those below: each layer costs the workflow thread two promises per step.
  make(request: CallRequest, scope: Scope): Promise<StepDone> {
    if (!request.options.local || this.#local >= limits.localStepsMax) return this.#remotely(request, scope);
    this.#local += 1;
    return locally(request, scope, (again) => this.#remotely(again, scope));
  }

  #remotely(request: CallRequest, scope: Scope): Promise<StepDone> {
    const done = remotely(request, scope);
    return this.#local === 0 ? done : done.finally(() => (this.#local = 0));
  }
}

function remotely({ kind, call, options, fairnessKey, summary }: CallRequest, scope: Scope): Promise<StepDone> {
  const { run, path, attempt } = call;
  const activities = proxyActivities<Activities>({
    ...timeouts(options, fairnessKey),
    heartbeatTimeout: options.heartbeatMs ?? defaults.heartbeatTimeoutMs,
    activityId: activityId(path, attempt),
    summary: summaryText(summary),
  });
  return cancellable(
    scope,
    () => invoke(activities, kind, call),
    async (error) => {
      // The worker may have died, or Temporal given up, between the work's record and its answer.
      const done = isTimeout(error) ? await quick("finished", [{ run, path, attempt }], `result of ${path}`) : null;
      if (done) return done;
      throw faultOfCall(error, path);
    },
  );
}

/**
 * One attempt of at most 2 s, as a local activity: no task and no events of its own but a marker. `otherwise` makes the
 * call as all others are made: at once when this one gave no answer, after the pause it asks for when the tool failed.
 */
function locally(request: CallRequest, scope: Scope, otherwise: (again: CallRequest) => Promise<StepDone>): Promise<StepDone> {
  const { kind, call, options, summary } = request;
  const ms = Math.min(limits.localStepMs, options.timeoutMs);
  const activities = proxyLocalActivities<Activities>({
    startToCloseTimeout: ms,
    scheduleToCloseTimeout: ms,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { maximumAttempts: 1 },
    summary: summaryText(summary),
  });
  return cancellable(
    scope,
    () => invoke(activities, kind, call),
    async (error) => {
      const failure = answerOf(error, ms < options.timeoutMs);
      const again = { ...call, again: true as const };
      if (!failure) return otherwise({ ...request, call: again });
      const { retry } = options;
      if (failure.nonRetryable || retry.maxAttempts === 1) throw faultOfCall(error, call.path);
      await cancellable(scope, () => sleep(failure.nextRetryDelay ?? 1, { summary: summaryText(`${call.path}: next attempt`) }));
      const rest = retry.maxAttempts - 1;
      return otherwise({
        ...request,
        call: { ...again, retry: { ...call.retry, maxAttempts: rest } },
        options: { ...options, retry: { ...retry, maxAttempts: rest } },
      });
    },
  );
}

/** What the tool itself said; undefined when it was not asked, was not recorded, or had less time than the step gives it. */
function answerOf(error: unknown, isShortened: boolean): ApplicationFailure | undefined {
  const failure = error instanceof ActivityFailure ? error.cause : error;
  if (!(failure instanceof ApplicationFailure)) return undefined;
  const problem = failure.details?.[0];
  return isProblem(problem) && !(isShortened && problem.code === "timeout") ? failure : undefined;
}

// The three take their own fields; which they are was fixed when the request was made.
const invoke = (activities: unknown, kind: CallRequest["kind"], call: StepCall<unknown>): Promise<StepDone> =>
  (activities as Record<string, (call: StepCall<unknown>) => Promise<StepDone>>)[kind]!(call);
