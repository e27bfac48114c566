import type { Answer, PlainPort } from "./plain-port.ts";
import type { Walk } from "../../workflows/walk.ts";
import { Fault, makeProblem } from "../../contracts/faults.ts";
import type { Principal } from "../../contracts/messages.ts";
import type { RunEvent } from "../../contracts/events.ts";
import type { Json } from "../../contracts/json.ts";
import { answerByPath, hash } from "./answers.ts";

/** Somebody sends every event, answers every question and sees to every parked step, each a while after it is asked for. */
export function attended(walk: Walk, port: PlainPort): void {
  port.heard = ({ type, identity, time, step, data }: RunEvent): void => {
    const spread = hash(identity);
    const later = (salt: number, act: () => void | Promise<unknown>): void =>
      port.at(
        Math.max(port.now(), time + 777 + (hash(`${identity}${salt}`) % 40_009)),
        () => void Promise.resolve(act()).catch(unlessLate),
      );
    if (type === "listen.started")
      for (const [index, event] of (data["events"] as string[]).entries())
        later(index, () => walk.mailbox.deliver({ event, data: { n: spread % 50 }, id: `${identity}${index}`, at: port.now() }));
    if (type === "approval.requested")
      later(0, () => walk.approvals.decide({ path: step!, decision: spread % 3 === 0 ? "reject" : "approve", by: person }));
    if (type === "step.parked")
      later(0, () => walk.attention.attend({ path: step!, action: (["retry", "skip", "fail"] as const)[spread % 3]!, by: "ada" }));
  };
}

const person: Principal = { name: "ada", kind: "person", roles: [] };

// The step has ended meanwhile, or the run.
function unlessLate(error: unknown): void {
  if (!(error instanceof Fault) || !["step_not_parked", "approval_closed"].includes(error.problem.code)) throw error;
}

/** As `answerByPath`; a flaky tool fails in its first attempt, a child's input is its own number. */
export function answerRich(path: string, fields: unknown, attempt: number): Answer {
  const { tool } = fields as { tool?: string };
  if (tool === undefined) return { output: hash(path) % 100, afterMs: 1_000 + (hash(path) % 50_021) };
  if (tool === "test.flaky" && attempt === 1) return { problem: makeProblem("tool", "flaky"), afterMs: 1 };
  if (tool === "test.dear" && attempt === 1) return { problem: tooDear, afterMs: 1 };
  return answerByPath(path, { ...(fields as { [name: string]: Json }), tool });
}

const short = { scope: "run:r_00000000000000000000000000", unit: "tokens", day: null, onExceed: "ask", max: 1, used: 1, needed: 1 };
const tooDear = makeProblem("budget_exceeded", "too dear", { onExceed: "ask", budgets: [short] });
