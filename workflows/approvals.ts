import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Principal, UpdateArguments, Voted, Vote } from "../contracts/messages.ts";
import { referenceHash } from "../contracts/reference.ts";
import { hashOf } from "../contracts/sha256.ts";
import type { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

export type Decision = UpdateArguments["decide"];

/** What people are asked; changed in place as they answer. */
export type Question = {
  title: string;
  payload: Json;
  /** What an answer is bound to. */
  payloadHash: string;
  /** Empty: anybody may decide. */
  assignees: string[];
  quorum: number;
  isEditable: boolean;
  /** Of different persons, all about the payload as it is. */
  votes: Vote[];
};

/** An answer that counts. */
export interface Answer {
  decision: Decision;
  vote: Vote;
  /** It is about another payload than the ones before. */
  hasEdited: boolean;
}

interface Open {
  question: Question;
  voted: (answer: Answer) => void;
  /** The one after which nobody is asked any more. */
  decided: (decision: Decision) => void;
}

/** Questions that people are asked, each decided once. */
export class Approvals {
  readonly #walk: Walk;
  readonly #open = new Map<string, Open>();
  /** Asked before, and no longer: decided, expired or cancelled. */
  readonly #closed: Set<string>;

  constructor(walk: Walk, closed: string[] = []) {
    this.#walk = walk;
    this.#closed = new Set(closed);
  }

  /** The last that were closed: who answers one of them late is told so. */
  state(): string[] {
    return [...this.#closed].slice(-limits.closedApprovalsMax);
  }

  get count(): number {
    return this.#open.size;
  }

  /** Wait for the decision; Canceled when the scope goes first. */
  async wait(path: string, question: Question, { scope, voted }: { scope: Scope; voted: Open["voted"] }): Promise<Decision> {
    try {
      return await scope.guard<Decision>((decided) => {
        this.#closed.delete(path);
        this.#open.set(path, { question, voted, decided });
        return () => this.#close(path);
      });
    } finally {
      // Also one whose time was over before it could be asked again: a late answer would wait for it.
      this.#close(path);
    }
  }

  /**
   * Faults `approval_closed` (decided, expired), `forbidden` (not one of the assignees), `approval_stale` (the payload is
   * another than the one that was seen) and `approval_voted` (a person counts once).
   * A question that is not asked yet is let pass: after a crash the record may know it before the walk is there again.
   */
  check({ path, by, payloadHash }: Decision): void {
    const question = this.#open.get(path)?.question;
    if (!question && this.#closed.has(path))
      throw new Fault("approval_closed", `Step ${path} waits for no decision: it is decided or expired.`);
    if (by.kind !== "person") throw new Fault("forbidden", `${by.name} is a ${by.kind}; an approval needs a person.`);
    if (!question) return;
    const { assignees, votes } = question;
    if (!mayDecide(assignees, by)) throw new Fault("forbidden", `${by.name} is not among those who may decide: ${assignees.join(", ")}.`);
    if (payloadHash !== undefined && isStale(question, payloadHash))
      throw new Fault("approval_stale", `What ${path} asks has changed since; read the approval again and decide about what it shows.`);
    if (votes.some((vote) => vote.by === by.name))
      throw new Fault("approval_voted", `${by.name} has answered ${path} already; ${question.quorum} different persons must approve.`);
  }

  /** Count an answer. The record knows it when this resolves. */
  async decide(decision: Decision): Promise<Voted> {
    const { path } = decision;
    if (!this.#open.has(path)) await this.#walk.port.until(() => this.#open.has(path) || this.#closed.has(path) || this.#walk.isOver);
    this.check(decision);
    const open = this.#open.get(path);
    if (!open) throw new Fault("approval_closed", `Step ${path} waits for no decision: the run is over.`);
    const voted = this.#count(open, decision);
    // Whoever asked finds it in the record: at the next quiet moment the step has told it.
    await this.#walk.port.until(() => true);
    await this.#walk.journal.drain();
    return voted;
  }

  #count(open: Open, decision: Decision): Voted {
    const { question } = open;
    const vote = voteOf(decision, this.#walk.port.now());
    const hasEdited = question.isEditable && vote.decision === "approved" && edit(question, decision.data);
    question.votes.push(vote);
    this.#walk.ledger.progress += 1;
    open.voted({ decision, vote, hasEdited });
    const status = vote.decision === "approved" && question.votes.length < question.quorum ? "pending" : vote.decision;
    if (status !== "pending") {
      this.#close(decision.path);
      open.decided(decision);
    }
    return { status, votes: [...question.votes] };
  }

  #close(path: string): void {
    this.#open.delete(path);
    this.#closed.add(path);
  }
}

/** What people see is what they decide about: the title, where there is no payload. A stored value's hash is its content's. */
export const payloadHashOf = ({ title, payload }: Pick<Question, "title" | "payload">): string =>
  payload === null ? hashOf({ title, payload }) : (referenceHash(payload) ?? hashOf(payload));

/** The hash that a question without a payload showed before titles counted. Whoever was asked then may still answer. */
const hashOfNothing = hashOf(null);

const isStale = ({ payload, payloadHash }: Question, seen: string): boolean =>
  seen !== payloadHash && !(payload === null && seen === hashOfNothing);

/** Who approved the payload as it was before has not approved this one. */
function edit(question: Question, payload: Json | undefined): boolean {
  if (payload === undefined) return false;
  const payloadHash = payloadHashOf({ title: question.title, payload });
  if (payloadHash === question.payloadHash) return false;
  Object.assign(question, { payload, payloadHash, votes: [] } satisfies Partial<Question>);
  return true;
}

const voteOf = ({ by, decision, comment }: Decision, at: number): Vote => ({
  by: by.name,
  decision: decision === "approve" ? "approved" : "rejected",
  at: new Date(at).toISOString(),
  comment: comment ?? null,
});

function mayDecide(assignees: string[], by: Principal): boolean {
  if (assignees.length === 0 || by.roles.includes("admin")) return true;
  return assignees.some((assignee) =>
    assignee.startsWith("role:") ? by.roles.includes(assignee.slice("role:".length)) : assignee.replace(/^person:/, "") === by.name,
  );
}
