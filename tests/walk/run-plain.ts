import { ENGINE_VERSION } from "../../contracts/engine.ts";
import type { Json } from "../../contracts/json.ts";
import { endEvent, type RunEnd } from "../../contracts/run-end.ts";
import { Walk, type WalkOptions, type WalkState } from "../../workflows/walk.ts";
import { Fault } from "../../contracts/faults.ts";
import type { RunPart } from "../../contracts/messages.ts";
import type { ChildRequest } from "../../workflows/port.ts";
import type { Kept } from "../../language/ledger.ts";
import { planOf } from "./plan-of.ts";
import { PlainPort, type Answers, type BeginPart, type RunningPart } from "./plain-port.ts";

export interface PlainRun {
  end: RunEnd;
  port: PlainPort;
  walk: Walk;
  /** How many executions it took, without those of children. */
  executions: number;
  /** What it took over of the run it tries again. */
  kept?: Kept;
}

interface PlainOptions {
  id?: string;
  input?: Json;
  ledger?: WalkOptions["ledger"];
  vars?: WalkOptions["vars"];
  holds?: WalkOptions["holds"];
  budgets?: WalkOptions["budgets"];
  answer?: Answers;
  steer?: (walk: Walk, port: PlainPort) => void;
  /** Continue as new at every step boundary, or after so many calls. */
  continues?: boolean | number;
  /** The run that this one tries again. */
  retryOf?: PlainRun;
}

const continuesByDefault = process.env["WALK_CONTINUES"] === "1";

/** Walk a definition on the in-process port. `steer` may plan signals, pauses and cancels at virtual times. */
export async function runPlain(definition: unknown, options: PlainOptions = {}): Promise<PlainRun> {
  const { continues = continuesByDefault, retryOf } = options;
  const plan = planOf(definition);
  const answers = options.answer ?? ((path) => ({ output: path }));
  const begin: BeginPart = (request, parent) => {
    const part = new PlainPort(answers, { isLong: continues, parent, begin });
    recorded(part, { id: request.id, parent: parent.run, path: request.path });
    return beginPart(given, request, part);
  };
  const port = new PlainPort(answers, {
    isLong: continues,
    begin,
    ...(retryOf ? { runs: retryOf.port.runs, now: retryOf.port.now() } : {}),
  });
  const origin = retryOf && ({ run: retryOf.port.run, kind: "retry" } as const);
  const run = {
    tenant: "t",
    id: origin ? `${origin.run}0` : (options.id ?? "r_00000000000000000000000000"),
    workflow: plan.name,
    version: plan.version,
    planHash: plan.hash,
    temporalRunId: "x",
    startedAt: 0,
    startedBy: "test",
  };
  const given = {
    plan,
    run,
    engine: ENGINE_VERSION,
    input: options.input ?? null,
    env: {},
    depth: 0,
    effectRoot: retryOf ? retryOf.walk.options.effectRoot : run.id,
    holds: options.holds ?? [],
    ...(origin ? { origin } : {}),
    ...(options.vars ? { vars: options.vars } : {}),
    ...(options.budgets ? { budgets: options.budgets } : {}),
  };
  recorded(port, { id: run.id });
  const taken = origin && port.runs.begin(plan, { origin, log: port.log });
  let walk = new Walk({ ...given, ...(options.ledger ? { ledger: options.ledger } : {}), ...taken }, port);
  options.steer?.(
    whoever(() => walk, port),
    port,
  );
  port.hearWindow = (says) => void port.attended(walk.windowMail.hear(says));
  let executions = 1;
  const next = (other: Walk): void => {
    walk = other;
    executions += 1;
  };
  const end = await port.drive(walkOn(given, port, { walk, next }));
  return { end, port, walk, executions, ...(taken ? { kept: taken.kept } : {}) };
}

type Given = Omit<WalkOptions, "state">;

/** The paths of the calls, in the order in which they began. */
export const started = ({ port }: Pick<PlainRun, "port">): string[] =>
  port.trace.filter(({ what }) => what === "start").map(({ path }) => path);

/** Execution after execution, to the end. */
async function walkOn(given: Given, port: PlainPort, { walk: first, next }: { walk: Walk; next: (walk: Walk) => void }): Promise<RunEnd> {
  for (let walk = first; ; next(walk)) {
    const end = await walk.run();
    if (end) {
      await port.record(given.run, [endEvent(end, port.now())]);
      return end;
    }
    const text = JSON.stringify(walk.state());
    port.stateBytes = Math.max(port.stateBytes, text.length);
    const state = JSON.parse(text) as WalkState;
    port.forget();
    walk = new Walk({ ...given, plan: walk.changes.plan, state }, port);
  }
}

function recorded(port: PlainPort, run: { id: string; parent?: string; path?: string }): void {
  port.run = run.id;
  port.runs.add({ ...run, log: port.log });
}

/** A child run for some items of a `foreach`, as Temporal would start it. */
function beginPart(around: Given, { id, part, word, undone, origin, budgets = [] }: ChildRequest, port: PlainPort): RunningPart {
  const { origin: _, ...given } = around;
  const own: Given = {
    ...given,
    run: { ...given.run, id, parentId: given.run.id },
    part: JSON.parse(JSON.stringify(part)) as RunPart,
    holds: word ? [word] : [],
    budgets,
    ...(origin ? { origin } : {}),
  };
  port.attend = (attended) => port.attended(walk.attention.attend(attended));
  const fresh = { ledger: { entries: [], places: [], undoneTimes: undone ?? {} } };
  let walk = new Walk({ ...own, ...(origin ? port.runs.begin(given.plan, { origin, log: port.log, known: undone }) : fresh) }, port);
  const next = (other: Walk): void => void (walk = other);
  port.hearWindow = (says) => void port.attended(walk.windowMail.hear(says));
  const terminated = new Promise<RunEnd>((_, reject) => {
    port.terminate = (): void => {
      port.forget();
      reject(new Fault("child", "The child run was terminated."));
    };
  });
  return {
    // As on a server, nobody of it waits for anything any more.
    end: Promise.race([walkOn(own, port, { walk, next }).finally(port.forget), terminated]),
    cancel: () => walk.cancel("the parent cancelled it"),
    hear: (hears) => walk.windowMail.heard(hears),
    hold: (holds) => void port.attended(walk.pause.hold(holds)),
  };
}

/** The walk of the execution that is there when it is spoken to; what it is told is counted until it is answered. */
function whoever<T extends object>(current: () => T, port: PlainPort): T {
  return new Proxy({} as T, {
    get: (_, name) => {
      const value: unknown = Reflect.get(current(), name, current());
      if (typeof value === "object" && value !== null) return whoever(() => Reflect.get(current(), name, current()) as object, port);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        const result: unknown = value.apply(current(), args);
        if (!(result instanceof Promise)) return result;
        void port.attended(result);
        return result;
      };
    },
  });
}
