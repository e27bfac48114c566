import { ActivityCancellationType, CancellationScope, proxyLocalActivities } from "@temporalio/workflow";
import type { Activities, ShortAnswer } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import type { CallRequest } from "./port.ts";
import { quiet } from "./quiet.ts";
import type { Scope } from "./scope.ts";
import { summaryText } from "./summary.ts";
import { inTurn } from "./turns.ts";

/** How long the one attempt beside the walk may take, in milliseconds. */
export const msBesideWalk = ({ options: { timeoutMs } }: CallRequest): number => Math.min(limits.localStepMs, timeoutMs);

/**
 * Short tools beside the walk, as local activities: no task and no events of their own but a marker. What items of one `foreach`
 * call at the same step and at the same moment shares one, which costs a fifth of many; they have their answers together then.
 */
export class ShortTools {
  readonly #gathering = new Map<string, Group>();

  /** Never rejects: without an answer the call is to be made as all others are. Cancelled, it is awaited all the same. */
  call(request: CallRequest, scope: Scope): Promise<ShortAnswer> {
    const { path } = request.call;
    const step = path.replaceAll(/\[\d+\]/g, "[]");
    if (step === path) return new Group([request]).begin().answer(0, scope);
    const group = this.#gathering.get(step);
    return group ? group.join(request, scope) : this.#gather(step, request).answer(0, scope);
  }

  #gather(step: string, first: CallRequest): Group {
    const group = new Group([first]);
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
  readonly #requests: CallRequest[];
  readonly #work = new CancellationScope();
  readonly #answers: Promise<ShortAnswer[]>;
  #begin!: (answers: Promise<ShortAnswer[]>) => void;
  #left = 0;

  constructor(requests: CallRequest[]) {
    this.#requests = requests;
    this.#answers = new Promise((resolve) => (this.#begin = resolve));
  }

  join(request: CallRequest, scope: Scope): Promise<ShortAnswer> {
    return this.answer(this.#requests.push(request) - 1, scope);
  }

  begin(): this {
    this.#begin(this.#work.run(() => perform(this.#requests)).catch(() => []));
    return this;
  }

  /** Cut only when nobody wants any of the answers. */
  async answer(index: number, scope: Scope): Promise<ShortAnswer> {
    const release = scope.onCancel(() => {
      this.#left += 1;
      if (this.#left === this.#requests.length) this.#work.cancel();
    });
    const answers = await this.#answers;
    release();
    return answers[index] ?? {};
  }
}

function perform(requests: CallRequest[]): Promise<ShortAnswer[]> {
  const ms = msBesideWalk(requests[0]!);
  const { shortTools } = proxyLocalActivities<Activities>({
    startToCloseTimeout: ms,
    scheduleToCloseTimeout: ms,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { maximumAttempts: 1 },
    summary: summaryText(summaryOf(requests)),
  });
  return inTurn(shortTools(requests.map(({ call }) => call) as Parameters<Activities["shortTools"]>[0]));
}

/** The first, up to which they go, and how many they are. */
const summaryOf = ([first, ...others]: CallRequest[]): string =>
  others.length === 0 ? first!.summary : `${first!.summary} · to ${others.at(-1)!.call.path}, ${others.length + 1} in all`;
