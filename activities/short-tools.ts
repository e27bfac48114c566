import { ApplicationFailure, Context } from "@temporalio/activity";
import type { Activities, ShortAnswer, ShortCall, ShortCalls, StepCall, StepDone, ToolFields } from "../contracts/activities.ts";
import { activityId } from "../contracts/ids.ts";
import { isProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { viewOf } from "../contracts/step-view.ts";
import { fill } from "../language/expression/evaluate.ts";
import type { Template } from "../language/plan.ts";
import { attemptEndsAt } from "./patience.ts";
import type { StepActivity } from "./step.ts";
import type { UnderWay } from "./under-way.ts";

/**
 * Short tools beside each other, each with those after it. Each is a step's whole activity: it does the work and records it.
 *
 * Those after one are called while they can be: the one before has succeeded, their arguments read no stored value, and half of the time
 * is left. The walk calls what has no answer by itself, and finds out what is wrong with it. All end before Temporal would cut the
 * activity: one that is late must not cost those before it their answers.
 *
 * None has an answer when a worker died of them, or with them: as activities of their own they have attempts that count.
 */
export const createShortTools =
  (tool: StepActivity<ToolFields>, underWay: UnderWay): Activities["shortTools"] =>
  async (calls) => {
    const name = nameOf(calls);
    if (!(await underWay.begin(name))) return calls.map(() => ({}));
    try {
      return await callAll(tool, calls);
    } finally {
      underWay.end(name);
    }
  };

function callAll(tool: StepActivity<ToolFields>, calls: ShortCall[]): Promise<ShortAnswer[]> {
  const endsAt = attemptEndsAt();
  const answered = (call: StepCall<ToolFields>): Promise<ShortAnswer> => answerBy(endsAt + graceMs, tool(call, endsAt));
  const until = (Date.now() + endsAt) / 2;
  const mayGoOn = (): boolean => Date.now() <= until && !Context.current().cancellationSignal.aborted;
  return Promise.all(calls.map((each) => inARow(each, answered, mayGoOn)));
}

function nameOf([first]: ShortCall[]): string {
  const { path, attempt } = first!.call;
  return `${Context.current().info.workflowExecution!.runId}/${path}#${attempt}`;
}

type Answered = (call: StepCall<ToolFields>) => Promise<ShortAnswer>;

/** A call, and those after it while each has a result and they may go on. */
export async function inARow({ call, next }: ShortCall, answered: Answered, mayGoOn: () => boolean): Promise<ShortAnswer> {
  const answer = await answered(call);
  if (!answer.done) return answer;
  const own = { ...answer, id: activityId(call.path, call.attempt) };
  if (!next) return own;
  const answers: ShortAnswer[] = [];
  const seen = new Map(Object.entries(next.steps));
  let before: { id: string; done: StepDone } = { id: next.after, done: answer.done };
  for (const { id, call: following, arguments: template } of next.calls) {
    if (!mayGoOn()) break;
    seen.set(before.id, viewOf({ status: "completed", exports: {}, ...before.done }));
    const given = filled(template, next.roots, seen);
    if (given === undefined) break;
    const { done, failed } = await answered({ ...following, fields: { ...following.fields, arguments: given } });
    answers.push({ ...(done ? { done, id: activityId(following.path, following.attempt) } : {}), ...(failed ? { failed } : {}) });
    if (!done) break;
    before = { id, done };
  }
  return { ...own, next: answers };
}

/** Nothing when it reads a stored value, or cannot be told. */
function filled(template: Json, roots: ShortCalls["roots"], steps: ReadonlyMap<string, Json>): Json | undefined {
  try {
    return fill(template as unknown as Template, { name: (name) => roots[name], step: (id) => steps.get(id) });
  } catch {
    return undefined;
  }
}

/** A record that hangs is left alone: what it comes to, the next attempt finds. */
const graceMs = 50;

async function answerBy(time: number, work: Promise<StepDone>): Promise<ShortAnswer> {
  let late: NodeJS.Timeout | undefined;
  const noWord = new Promise<ShortAnswer>((resolve) => (late = setTimeout(() => resolve({}), time - Date.now())));
  try {
    return await Promise.race([answerOf(work), noWord]);
  } finally {
    clearTimeout(late);
  }
}

/** What the tool itself said; nothing when it was not asked, or was not recorded. */
async function answerOf(work: Promise<StepDone>): Promise<ShortAnswer> {
  try {
    return { done: await work };
  } catch (error) {
    if (!(error instanceof ApplicationFailure)) return {};
    const problem = error.details?.[0];
    if (!isProblem(problem)) return {};
    return { failed: { problem, isFinal: error.nonRetryable === true, retryAfterMs: Number(error.nextRetryDelay ?? 1) } };
  }
}
