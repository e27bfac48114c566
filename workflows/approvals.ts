import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Principal, UpdateArguments } from "../contracts/messages.ts";
import type { Context } from "./context.ts";
import type { Walk } from "./walk.ts";

type Decision = UpdateArguments["decide"];

interface Asked {
  assignees: string[];
  decided: (decision: Decision) => void;
}

/** Questions that people are asked, each answered once. */
export class Approvals {
  readonly #walk: Walk;
  readonly #open = new Map<string, Asked>();
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

  /** Wait for a decision; Canceled when the scope goes first. */
  async wait(path: string, assignees: string[], context: Context): Promise<Decision> {
    return context.scope.guard<Decision>((resolve) => {
      this.#closed.delete(path);
      this.#open.set(path, { assignees, decided: resolve });
      return () => this.#close(path);
    });
  }

  /**
   * Faults `approval_closed` (decided, expired) and `forbidden` (not one of the assignees).
   * A question that is not asked yet is let pass: after a crash the record may know it before the walk is there again.
   */
  check({ path, by }: Decision): void {
    const asked = this.#open.get(path);
    if (!asked && this.#closed.has(path))
      throw new Fault("approval_closed", `Step ${path} waits for no decision: it is decided or expired.`);
    if (by.kind !== "person") throw new Fault("forbidden", `${by.name} is a ${by.kind}; an approval needs a person.`);
    if (asked && !mayDecide(asked.assignees, by))
      throw new Fault("forbidden", `${by.name} is not among those who may decide: ${asked.assignees.join(", ")}.`);
  }

  async decide(decision: Decision): Promise<void> {
    const { path } = decision;
    if (!this.#open.has(path)) await this.#walk.port.until(() => this.#open.has(path) || this.#closed.has(path) || this.#walk.isOver);
    this.check(decision);
    const asked = this.#open.get(path);
    if (!asked) throw new Fault("approval_closed", `Step ${path} waits for no decision: the run is over.`);
    this.#close(path);
    asked.decided(decision);
    // Whoever asked finds it in the record: at the next quiet moment the step has told it.
    await this.#walk.port.until(() => true);
    await this.#walk.journal.drain();
  }

  #close(path: string): void {
    this.#open.delete(path);
    this.#closed.add(path);
  }
}

export const decisionOutput = ({ decision, data, comment, by }: Decision, at: number): JsonObject => ({
  decision: decision === "approve" ? "approved" : "rejected",
  approved: decision === "approve",
  by: by.name,
  at: new Date(at).toISOString(),
  comment: comment ?? null,
  data: (data ?? null) as Json,
});

function mayDecide(assignees: string[], by: Principal): boolean {
  if (assignees.length === 0 || by.roles.includes("admin")) return true;
  return assignees.some((assignee) =>
    assignee.startsWith("role:") ? by.roles.includes(assignee.slice("role:".length)) : assignee.replace(/^person:/, "") === by.name,
  );
}
