import { proxyActivities, sleep } from "@temporalio/workflow";
import { activityId } from "../contracts/ids.ts";
import { defaults, limits } from "../contracts/limits.ts";
import type { Activities, ShortAnswer, StepCall, StepDone } from "../contracts/activities.ts";
import { faultOfCall, faultOfProblem, isTimeout } from "./failures.ts";
import { cancellable, timeouts } from "./operation.ts";
import type { CallRequest } from "./port.ts";
import { quick } from "./quick.ts";
import type { Scope } from "./scope.ts";
import { msBesideWalk, ShortTools } from "./short-tools.ts";
import { summaryText } from "./summary.ts";

/** How a call of our own workers is made: most by an activity, short ones first beside the walk. */
export class Calls {
  /** Local results that no task has made safe yet, as far as we can know: the command that carries them must stay below 4 MB. */
  #local = 0;
  readonly #tools = new ShortTools();

  // Not async, nor are those below: each layer costs the workflow thread two promises per step.
  make(request: CallRequest, scope: Scope): Promise<StepDone> {
    if (!request.options.local) return this.#remotely(request, scope);
    const otherwise = (again: CallRequest): Promise<StepDone> => this.#remotely(again, scope);
    const made = this.#tools.take(request.call);
    if (made) return locally(made, request, { scope, otherwise });
    const room = limits.localStepsMax - this.#local;
    if (room <= 0) return this.#remotely(request, scope);
    const fitting = this.#counted(request, room);
    return locally(this.#tools.call(fitting, scope), request, { scope, otherwise });
  }

  /** The result of one that was made with the one before it. */
  made(call: Pick<StepCall<unknown>, "path" | "attempt">): StepDone | undefined {
    return this.#tools.hasDone(call) ? this.#tools.take(call)!.done : undefined;
  }

  /** With as many of those after it as there is room for. */
  #counted({ next, ...request }: CallRequest, room: number): CallRequest {
    this.#local += 1;
    if (!next || room === 1) return request;
    const calls = next.calls.calls.slice(0, room - 1);
    this.#local += calls.length;
    const made = (count: number): void => {
      this.#local = Math.max(0, this.#local - (calls.length - count));
      next.made(count);
    };
    return { ...request, next: { ...next, calls: { ...next.calls, calls }, made } };
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

/** First beside the walk. `otherwise` makes the call as all others are made: at once when it had no answer, after the pause its failure asks for. */
async function locally(
  answer: ShortAnswer | Promise<ShortAnswer>,
  request: CallRequest,
  { scope, otherwise }: { scope: Scope; otherwise: (again: CallRequest) => Promise<StepDone> },
): Promise<StepDone> {
  const { call, options } = request;
  const { done, failed } = await answer;
  if (done) return done;
  scope.throwIfCanceled();
  const again = { ...call, again: true as const };
  // It had less time than the step gives it.
  const isShortened = msBesideWalk(request) < options.timeoutMs;
  if (!failed || (isShortened && failed.problem.code === "timeout")) return otherwise({ ...request, call: again });
  const { retry } = options;
  if (failed.isFinal || retry.maxAttempts === 1) throw faultOfProblem(failed.problem, call.path);
  await cancellable(scope, () => sleep(failed.retryAfterMs, { summary: summaryText(`${call.path}: next attempt`) }));
  const rest = retry.maxAttempts - 1;
  return otherwise({
    ...request,
    call: { ...again, retry: { ...call.retry, maxAttempts: rest } },
    options: { ...options, retry: { ...retry, maxAttempts: rest } },
  });
}

// The three take their own fields; which they are was fixed when the request was made.
const invoke = (activities: unknown, kind: CallRequest["kind"], call: StepCall<unknown>): Promise<StepDone> =>
  (activities as Record<string, (call: StepCall<unknown>) => Promise<StepDone>>)[kind]!(call);
