import type { Json } from "../../contracts/json.ts";
import type { End } from "../../workflows/end.ts";
import { Walk, type WalkOptions, type WalkState } from "../../workflows/walk.ts";
import { readDefinitionValue } from "../../language/index.ts";
import type { Plan } from "../../language/plan.ts";
import { PlainPort, type Answers } from "./plain-port.ts";

export const planOf = (definition: unknown): Plan => {
  const read = readDefinitionValue(definition, { hashOf: () => "hash" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems, null, 2));
  return read.plan;
};

export interface PlainRun {
  end: End;
  port: PlainPort;
  walk: Walk;
  /** How many executions it took. */
  executions: number;
}

interface PlainOptions {
  input?: Json;
  ledger?: WalkOptions["ledger"];
  vars?: WalkOptions["vars"];
  answer?: Answers;
  steer?: (walk: Walk, port: PlainPort) => void;
  /** Continue as new at every step boundary. */
  continues?: boolean;
}

const continuesByDefault = process.env["WALK_CONTINUES"] === "1";

/** Walk a definition on the in-process port. `steer` may plan signals, pauses and cancels at virtual times. */
export async function runPlain(definition: unknown, options: PlainOptions = {}): Promise<PlainRun> {
  const { continues = continuesByDefault } = options;
  const plan = planOf(definition);
  const port = new PlainPort(options.answer ?? ((path) => ({ output: path })), continues);
  const run = {
    tenant: "t",
    id: "r_00000000000000000000000000",
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
    input: options.input ?? null,
    env: {},
    depth: 0,
    effectRoot: run.id,
    ...(options.vars ? { vars: options.vars } : {}),
  };
  let walk = new Walk({ ...given, ...(options.ledger ? { ledger: options.ledger } : {}) }, port);
  options.steer?.(
    whoever(() => walk, port),
    port,
  );
  for (let executions = 1; ; executions++) {
    const end = await port.drive(walk.run());
    if (end) return { end, port, walk, executions };
    const state = JSON.parse(JSON.stringify(walk.state())) as WalkState;
    port.forget();
    walk = new Walk({ ...given, state }, port);
  }
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
