import { CancellationScope, defineSignal, getExternalWorkflowHandle, setHandler } from "@temporalio/workflow";
import { Fault, makeProblem } from "../contracts/faults.ts";
import { lockWorkflowId } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { lockSignals, type LockAnswer } from "../contracts/locks.ts";
import { signals, type RunArguments } from "../contracts/messages.ts";
import type { LockRequest, Port } from "./port.ts";
import { quick } from "./quick.ts";
import { condition } from "./quiet.ts";
import { Canceled, type Scope } from "./scope.ts";
import { summaryText } from "./summary.ts";

type LockPort = Pick<Port, "acquire" | "turn" | "release">;

/** Locks as workflows of their own: asked by an activity, answered by signals to this run, given back by signals to them. */
export function createLockPort({ tenant, id: run }: RunArguments): LockPort {
  const answers = new Map<string, LockAnswer | undefined>();
  const given = new Map<string, LockRequest>();
  setHandler(defineSignal<[LockAnswer]>(signals.lockAnswer), (answer) => {
    const place = placeOf(answer);
    if (answers.has(place)) answers.set(place, answer);
    // An ask that was on its way when its step gave up has come through after all.
    else if (answer.state === "granted" && given.has(place)) void giveBack(given.get(place)!);
  });

  const giveBack = async ({ kind, key, ticket }: LockRequest): Promise<void> => {
    try {
      await getExternalWorkflowHandle(lockWorkflowId(tenant, kind, key)!).signal(lockSignals.release, { run, ticket });
    } catch {
      // The lock is idle and gone, and with it what it knew.
    }
  };

  const ask = ({ kind, key, ticket, limit, onLimit, path }: LockRequest): Promise<void> =>
    quick("askLock", [{ tenant, kind, key, ask: { run, ticket, limit, onLimit } }], `${path}: ask for ${key}`);

  /** The first answer that fits. Asks again now and then: a lock that was terminated has forgotten who waits. */
  const answered = async (request: LockRequest, scope: Scope, fits: (answer: LockAnswer) => boolean): Promise<LockAnswer> => {
    const current = (): LockAnswer | undefined => answers.get(placeOf(request));
    const isThere = (): boolean => {
      const answer = current();
      return answer !== undefined && fits(answer);
    };
    const summary = summaryText(`${request.path}: ask for ${request.key} again`);
    while (!isThere()) if (!(await within(scope, () => condition(isThere, limits.lockAskAgainMs, { summary })))) await ask(request);
    const answer = current()!;
    if (answer.state === "refused") throw Fault.of({ ...(answer.problem ?? makeProblem("lock", "Refused.")), instance: request.path });
    return answer;
  };

  return {
    async acquire(request, scope) {
      scope.throwIfCanceled();
      given.delete(placeOf(request));
      answers.set(placeOf(request), undefined);
      await ask(request);
      return (await answered(request, scope, () => true)).state === "granted";
    },
    turn: async (request, scope) => void (await answered(request, scope, ({ state }) => state !== "waiting")),
    async release(request) {
      const place = placeOf(request);
      answers.delete(place);
      given.set(place, request);
      await giveBack(request);
    },
  };
}

const placeOf = ({ kind, key, ticket }: Pick<LockAnswer, "kind" | "key" | "ticket">): string => JSON.stringify([kind, key, ticket]);

async function within<T>(scope: Scope, wait: () => Promise<T>): Promise<T> {
  scope.throwIfCanceled();
  const inner = new CancellationScope();
  const release = scope.onCancel(() => inner.cancel());
  try {
    return await inner.run(wait);
  } catch (error) {
    if (scope.isCanceled) throw new Canceled("the step was cancelled");
    throw error;
  } finally {
    release();
  }
}
