import type { ShortCalls, StepCall, StepDone, ToolFields } from "../contracts/activities.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Block } from "../language/plan.ts";
import { stepPath, type HereOf, type StepOf } from "./context.ts";
import { stepCall, toolFields } from "./step-call.ts";
import type { Walk } from "./walk.ts";

/**
 * The steps right after a short one that are called together with it, each with what the one before gave: twelve in a row cost little
 * more than one. From then on they have begun: no pause holds them, and no change of the plan takes them away.
 */
export class NextCalls {
  readonly calls: ShortCalls;
  readonly #walk: Walk;
  readonly #paths: string[];

  private constructor(walk: Walk, calls: ShortCalls) {
    this.#walk = walk;
    this.calls = calls;
    this.#paths = calls.calls.map(({ call }) => call.path);
  }

  /** Undefined when there are none. */
  static of(walk: Walk, here: HereOf<"tool">): NextCalls | undefined {
    const calls: ShortCalls["calls"] = [];
    const read = { roots: {}, steps: {} };
    const { frame } = here.context;
    for (const step of stepsAfter(here)) {
      const next: HereOf<"tool"> = { ...here, step, path: stepPath(here.context, step.id), attempt: 1 };
      // What is known of it stands.
      if (walk.ledger.get(next.path) || walk.ledger.place(next.path) || walk.ledger.thrown(next.path)) break;
      next.attempt = walk.ledger.attempt(next.path);
      const { roots, steps } = frame.rootsOf(step.arguments);
      Object.assign(read.roots, roots);
      Object.assign(read.steps, steps);
      const call = stepCall(walk, next, toolFields(walk, next) as unknown as Json, []) as StepCall<Omit<ToolFields, "arguments">>;
      calls.push({ id: step.id, call, arguments: step.arguments as unknown as Json });
    }
    return calls.length === 0 || jsonBytes(read) > limits.inlineBytesMax
      ? undefined
      : new NextCalls(walk, { after: here.step.id, calls, ...read });
  }

  /** The work, with these. Those that have no answer then have not begun after all. */
  async with(work: () => Promise<StepDone>): Promise<StepDone> {
    const { ledger } = this.#walk;
    for (const path of this.#paths) ledger.note(path, { isCalled: true });
    let answered = 0;
    try {
      const { made = 0, ...done } = await work();
      answered = made;
      return done;
    } finally {
      for (const path of this.#paths.slice(answered)) ledger.drop(path);
    }
  }
}

function stepsAfter({ step, context }: HereOf<"tool">): StepOf<"tool">[] {
  const steps: StepOf<"tool">[] = [];
  for (let next = stepAfter(context.block, step); next && steps.length < limits.localStepsMax - 1; next = stepAfter(context.block, next))
    steps.push(next);
  return steps;
}

/** The only one that waits for this one, when it waits for nothing else and may take as long. */
function stepAfter({ steps }: Block, step: StepOf<"tool">): StepOf<"tool"> | undefined {
  if (!step.local || step.budget || step.export.length > 0) return undefined;
  const [next, ...others] = steps.filter(({ needs }) => needs.includes(step.id));
  if (next?.type !== "tool" || !next.local || others.length > 0 || next.needs.length > 1) return undefined;
  if (next.if || next.lock || next.compensate || next.budget || next.background) return undefined;
  return Math.min(next.timeoutMs, step.timeoutMs) >= limits.localStepMs || next.timeoutMs === step.timeoutMs ? next : undefined;
}
