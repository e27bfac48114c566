import { proxyLocalActivities } from "@temporalio/workflow";
import type { Activities, ShortAnswer, ShortCall, StepCall } from "../contracts/activities.ts";
import { activityId } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { uncancelled } from "./operation.ts";
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
    request.next?.begin(request.next.calls.calls.length);
    const { path } = request.call;
    const step = path.replaceAll(/\[\d+\]/g, "[]");
    const answers = await (step === path ? perform([request]) : (this.#gathering.get(step) ?? this.#gather(step)).join(request, scope));
    const answer = answers.get(request);
    if (!answer) return {};
    const { next = [], ...own } = answer;
    request.next?.made(next.length);
    for (const [index, made] of next.entries()) this.#made.set(nameOf(request.next!.calls.calls[index]!.call), made);
    return own;
  }

  /** The answer of a call that was made with the one before it; once. */
  take(call: Call): ShortAnswer | undefined {
    const made = this.#made.get(nameOf(call));
    this.#made.delete(nameOf(call));
    return made;
  }

  hasDone(call: Call): boolean {
    return this.#made.get(nameOf(call))?.done !== undefined;
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
    const others = this.#calls.filter(({ scope }) => scope.isCanceled).map(({ request }) => [request, {}] as const);
    this.#begin(
      wanted.length === 0 ? Promise.resolve(new Map(others)) : perform(wanted).then((answers) => new Map([...answers, ...others])),
    );
  }
}

type Call = Pick<StepCall<unknown>, "path" | "attempt">;
const nameOf = ({ path, attempt }: Call): string => activityId(path, attempt);

/** Without one, the call may have been made all the same: there was no word of it in time. */
type Answers = ReadonlyMap<CallRequest, ShortAnswer>;

async function perform(requests: CallRequest[]): Promise<Answers> {
  const ms = msBesideWalk(requests[0]!);
  const { shortTools } = proxyLocalActivities<Activities>({
    startToCloseTimeout: ms,
    scheduleToCloseTimeout: ms,
    retry: { maximumAttempts: 1 },
    summary: summaryText(summaryOf(requests)),
  });
  const calls = requests.map(({ call, next }) => ({ call, ...(next ? { next: next.calls } : {}) })) as ShortCall[];
  // Not cancelled: at work its result would come when it has ended, in a replay at once, before others that came first.
  const answers = await uncancelled(() => inTurn(shortTools(calls))).catch((): ShortAnswer[] => []);
  return new Map(answers.map((answer, index) => [requests[index]!, answer]));
}

/** The first, up to which they go, and how many they are. */
function summaryOf(requests: CallRequest[]): string {
  const paths = requests.flatMap(({ call, next }) => [call.path, ...(next?.calls.calls ?? []).map((each) => each.call.path)]);
  const { summary } = requests[0]!;
  return paths.length === 1 ? summary : `${summary} · to ${paths.at(-1)!}, ${paths.length} in all`;
}
