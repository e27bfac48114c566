import { Fault } from "../contracts/faults.ts";
import { approvalIdOf } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { parseDuration } from "../language/duration.ts";
import type { Template } from "../language/plan.ts";
import { payloadHashOf, type Answer, type Decision, type Question } from "./approvals.ts";
import type { HereOf, Outcome } from "./context.ts";
import { beforeDeadline, deadlineOf, iso } from "./deadline.ts";
import { runInside } from "./inside.ts";
import { Canceled, type Scope } from "./scope.ts";
import { whileAsked } from "./task-time.ts";
import type { Walk } from "./walk.ts";

/** What an approval notes: what was asked, how far it has come, and its moments. */
type Asking = Question & {
  /** How many answers were told, also those about a payload that was changed since. */
  told: number;
  deadline?: number;
  expiredAt?: string;
  remind?: { every: number; next: number; count: number };
  escalate?: { at: number; to: string[] };
};

type HereAsk = HereOf<"approval">;

/** Ask people. The answer is bound to what was shown. */
export async function ask(walk: Walk, here: HereAsk): Promise<Outcome> {
  const { step, path } = here;
  const asked = (walk.ledger.place(path)?.["asked"] as Asking | undefined) ?? (await open(walk, here));
  if (asked.expiredAt === undefined) {
    const decision = await walk.inspector.waiting(path, `a decision: ${asked.title}`, () =>
      whileAsked(here.context, () => beforeDeadline(walk, here, asked.deadline, (scope) => decisionOn(walk, here, asked, scope))),
    );
    if (decision) return { output: tellDecided(walk, here, asked, decision) };
    asked.expiredAt = iso(walk.port.now());
    tell(walk, here, { type: "approval.expired", data: { at: asked.expiredAt } });
  }
  const data = step.onExpire ? await runInside(walk, here, ".onExpire", step.onExpire) : null;
  return { output: { decision: "expired", approved: false, by: null, at: asked.expiredAt, comment: null, data } };
}

async function open(walk: Walk, here: HereAsk): Promise<Asking> {
  const { step, path } = here;
  const question = await questionOf(walk, here);
  const deadline = await deadlineOf(walk, step.expiresAfter, here);
  const asked: Asking = { ...question, told: 0, ...(deadline === undefined ? {} : { deadline }), ...(await nudgesOf(walk, here)) };
  walk.ledger.note(path, { asked });
  const { title, payload, payloadHash, assignees, quorum, isEditable } = question;
  tell(walk, here, {
    type: "approval.requested",
    data: {
      id: approvalIdOf(walk.options.run.id, path),
      title,
      payload,
      payloadHash,
      assignees: [...assignees],
      quorum,
      ...(isEditable ? { editable: true } : {}),
      ...(step.form ? { form: step.form } : {}),
      ...(deadline === undefined ? {} : { expiresAt: iso(walk.clock.wall(deadline)) }),
    },
  });
  return asked;
}

async function questionOf(walk: Walk, here: HereAsk): Promise<Question> {
  const { step, path, context } = here;
  const named = await walk.value(step.title, context.frame);
  const title = (typeof named === "string" ? named : JSON.stringify(named)).slice(0, limits.errorDetailMax);
  const payload = await walk.shrink(await walk.value(step.payload, context.frame), path);
  return {
    title,
    payload,
    payloadHash: payloadHashOf({ title, payload }),
    assignees: await people(walk, here, { template: step.assignees, field: "assignees" }),
    quorum: await quorumOf(walk, here),
    isEditable: step.editable === true,
    votes: [],
  };
}

async function people(
  walk: Walk,
  { path, context }: HereAsk,
  { template, field }: { template: Template | undefined; field: string },
): Promise<string[]> {
  const named = template ? await walk.value(template, context.frame) : [];
  const list = typeof named === "string" ? [named] : named;
  if (Array.isArray(list) && list.length <= limits.assigneesMax && list.every(isPerson)) return [...(list as string[])];
  throw new Fault(
    "expression",
    `\`${field}\` of ${path} must be a list of at most ${limits.assigneesMax} names or "role:…", of ${limits.assigneeMax} characters each.`,
    { instance: path },
  );
}

const isPerson = (entry: Json): boolean => typeof entry === "string" && entry.length <= limits.assigneeMax;

async function quorumOf(walk: Walk, { step, path, context }: HereAsk): Promise<number> {
  const quorum = step.quorum ? await walk.value(step.quorum, context.frame) : 1;
  if (typeof quorum === "number" && Number.isInteger(quorum) && quorum >= 1 && quorum <= limits.approvalQuorumMax) return quorum;
  throw new Fault(
    "expression",
    `\`quorum\` of ${path} must be a whole number from 1 to ${limits.approvalQuorumMax}; it is ${JSON.stringify(quorum)}.`,
    { instance: path },
  );
}

async function nudgesOf(walk: Walk, here: HereAsk): Promise<Pick<Asking, "remind" | "escalate">> {
  const { step, context } = here;
  const now = walk.clock.now();
  const remindAfter = step.remindAfter ? await walk.value(step.remindAfter, context.frame) : null;
  const every = remindAfter === null ? undefined : Math.max(limits.remindAfterMinMs, parseDuration(remindAfter));
  const at = await deadlineOf(walk, step.escalate?.after, here);
  return {
    ...(every === undefined ? {} : { remind: { every, next: now + every, count: 0 } }),
    ...(at === undefined ? {} : { escalate: { at, to: await people(walk, here, { template: step.escalate?.to, field: "escalate.to" }) } }),
  };
}

/** Wait for the decision; meanwhile remind and escalate. */
function decisionOn(walk: Walk, here: HereAsk, asked: Asking, around: Scope): Promise<Decision> {
  return around.within(async (scope) => {
    const nudging = Promise.all([remind(walk, here, asked, scope), escalate(walk, here, asked, scope)]).catch(unlessCanceled);
    const voted = (answer: Answer): void => tellVoted(walk, here, asked, answer);
    try {
      return await walk.approvals.wait(here.path, asked, { scope, voted });
    } finally {
      scope.cancel("it is decided");
      await nudging;
    }
  });
}

async function remind(walk: Walk, here: HereAsk, { remind: plan, assignees, deadline = Infinity }: Asking, scope: Scope): Promise<void> {
  while (plan && plan.count < limits.remindersMax && plan.next < deadline) {
    const now = await sleepUntil(walk, scope, { at: plan.next, summary: `${here.path}: reminder` });
    plan.count += 1;
    // What was missed while no worker ran is one reminder, not many.
    plan.next += plan.every * (1 + Math.floor((now - plan.next) / plan.every));
    walk.ledger.progress += 1;
    tell(walk, here, { type: "approval.reminded", ordinal: plan.count, data: { count: plan.count, assignees: [...assignees] } });
  }
}

async function escalate(walk: Walk, here: HereAsk, asked: Asking, scope: Scope): Promise<void> {
  const { escalate: plan, assignees } = asked;
  if (!plan) return;
  await sleepUntil(walk, scope, { at: plan.at, summary: `${here.path}: escalation` });
  delete asked.escalate;
  // Where anybody may decide, nobody more can.
  if (assignees.length > 0) assignees.push(...plan.to.filter((person) => !assignees.includes(person)));
  walk.ledger.progress += 1;
  tell(walk, here, { type: "approval.escalated", data: { to: plan.to, assignees: [...assignees] } });
}

async function sleepUntil(walk: Walk, scope: Scope, { at, summary }: { at: number; summary: string }): Promise<number> {
  const ms = at - walk.clock.now();
  if (ms > 0) await walk.clock.sleep(ms, summary, scope);
  return walk.clock.now();
}

function tellVoted(walk: Walk, here: HereAsk, asked: Asking, { decision, vote, hasEdited }: Answer): void {
  const { payload, payloadHash, votes } = asked;
  asked.told += 1;
  const data = {
    ...vote,
    ...(decision.data === undefined ? {} : { data: decision.data }),
    ...(hasEdited ? { payload } : {}),
    payloadHash,
    votes: [...votes],
  };
  tell(walk, here, { type: "approval.voted", ordinal: asked.told, data });
}

function tellDecided(walk: Walk, here: HereAsk, { isEditable, payload, votes }: Asking, decision: Decision): JsonObject {
  const { by, decision: decided, at, comment } = votes.at(-1)!;
  const isApproved = decided === "approved";
  const data = isEditable && isApproved ? payload : (decision.data ?? null);
  const output = { decision: decided, approved: isApproved, by, at, comment, data };
  tell(walk, here, { type: "approval.decided", data: output });
  return output;
}

type Told = "approval.requested" | "approval.voted" | "approval.reminded" | "approval.escalated" | "approval.decided" | "approval.expired";

/** People look at it: it goes into the record soon, whatever else the run does. */
function tell(
  walk: Walk,
  { step, path, attempt, context }: HereAsk,
  { type, ordinal, data }: { type: Told; ordinal?: number; data: JsonObject },
): void {
  const about = { path, lane: context.lane, attempt, ...(ordinal === undefined ? {} : { ordinal }) };
  walk.tell(type, about, type === "approval.requested" ? { type: step.type, ...data } : data);
  walk.journal.hurry();
}

function unlessCanceled(error: unknown): void {
  if (!(error instanceof Canceled)) throw error;
}
