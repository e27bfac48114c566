import { proxyLocalActivities } from "@temporalio/workflow";
import type { Activities, ShortAnswer, StepCall } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import { activityId, uncancelled } from "./operation.ts";
import type { CallRequest } from "./port.ts";
import { quiet } from "./quiet.ts";
import type { Scope } from "./scope.ts";
import { summaryText } from "./summary.ts";
import { inTurn } from "./turns.ts";

/** How long the one attempt beside the walk may take, in milliseconds. */
export const msBesideWalk = ({ options: { timeoutMs } }: CallRequest): number => Math.min(limits.localStepMs, timeoutMs);

/**
 * Short tools beside the walk, as local activities: no task and no events of their own but a marker. What items of one `foreach`
 * call at the same step and at the same moment shares one, which costs a fifth of many; they have their answers together then. So do the
 * steps right after one, which have theirs before they are asked for.
 */
export class ShortTools {
  readonly #gathering = new Map<string, Group>();
  readonly #made = new Map<string, ShortAnswer>();

  /** Rejects only when it is cancelled by now. Without an answer the call is to be made as all others are; once made it is awaited. */
  async call(request: CallRequest, scope: Scope): Promise<ShortAnswer> {
    scope.throwIfCanceled();
    const { path } = request.call;
    const step = path.replaceAll(/\[\d+\]/g, "[]");
    const answers = await (step === path ? perform([request]) : (this.#gathering.get(step) ?? this.#gather(step)).join(request, scope));
    const { next = [], ...answer } = answers.get(request) ?? {};
    for (const [index, made] of next.entries()) this.#made.set(nameOf(request.next!.calls[index]!.call), made);
    return next.length > 0 && answer.done ? { done: { ...answer.done, made: next.length } } : answer;
  }

  /** The answer of a call that was made with the one before it. */
  take({ call }: CallRequest): ShortAnswer | undefined {
    const name = nameOf(call);
    const made = this.#made.get(name);
    this.#made.delete(name);
    return made?.done ? { done: { ...made.done, isMade: true } } : made;
  }

  #gather(step: string): Group {
    const group = new Group();
    this.#gathering.set(step, group);
    void quiet().then(() => {
      this.#gathering.delete(step);
      group.begin();
    });
    return group;
  }
}

/** Calls that are made as one. */
class Group {
  readonly #calls: { request: CallRequest; scope: Scope }[] = [];
  readonly #answers: Promise<Answers>;
  #begin!: (answers: Promise<Answers>) => void;

  constructor() {
    this.#answers = new Promise((resolve) => (this.#begin = resolve));
  }

  join(request: CallRequest, scope: Scope): Promise<Answers> {
    this.#calls.push({ request, scope });
    return this.#answers;
  }

  /** Without those that nobody wants any more. */
  begin(): void {
    const wanted = this.#calls.filter(({ scope }) => !scope.isCanceled).map(({ request }) => request);
    this.#begin(wanted.length === 0 ? Promise.resolve(new Map()) : perform(wanted));
  }
}

const nameOf = ({ path, attempt }: Pick<StepCall<unknown>, "path" | "attempt">): string => activityId(path, attempt);

type Answers = ReadonlyMap<CallRequest, ShortAnswer>;

async function perform(requests: CallRequest[]): Promise<Answers> {
  const ms = msBesideWalk(requests[0]!);
  const { shortTools } = proxyLocalActivities<Activities>({
    startToCloseTimeout: ms,
    scheduleToCloseTimeout: ms,
    retry: { maximumAttempts: 1 },
    summary: summaryText(summaryOf(requests)),
  });
  const nextMax = Math.floor(limits.localStepsMax / requests.length) - 1;
  const calls = requests.map(({ call, next }) => ({
    call,
    ...(next && nextMax > 0 ? { next: { ...next, calls: next.calls.slice(0, nextMax) } } : {}),
  })) as Parameters<Activities["shortTools"]>[0];
  // Not cancelled: at work its result would come when it has ended, in a replay at once, before others that came first.
  const answers = await uncancelled(() => inTurn(shortTools(calls))).catch((): ShortAnswer[] => []);
  return new Map(requests.map((request, index) => [request, answers[index] ?? {}]));
}

/** The first, up to which they go, and how many they are. */
function summaryOf(requests: CallRequest[]): string {
  const paths = requests.flatMap(({ call, next }) => [call.path, ...(next?.calls ?? []).map((each) => each.call.path)]);
  const { summary } = requests[0]!;
  return paths.length === 1 ? summary : `${summary} · to ${paths.at(-1)!}, ${paths.length} in all`;
}
