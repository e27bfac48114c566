import type { Json } from "../../contracts/json.ts";
import type { End } from "../../workflows/end.ts";
import { Walk, type WalkOptions } from "../../workflows/walk.ts";
import { readDefinitionValue } from "../../language/index.ts";
import type { Plan } from "../../language/plan.ts";
import { PlainPort, type Answers } from "./plain-port.ts";

const planOf = (definition: unknown): Plan => {
  const read = readDefinitionValue(definition, { hashOf: () => "hash" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems, null, 2));
  return read.plan;
};

export interface PlainRun {
  end: End;
  port: PlainPort;
  walk: Walk;
}

/** Walk a definition on the in-process port. `steer` may plan signals, pauses and cancels at virtual times. */
export async function runPlain(
  definition: unknown,
  options: {
    input?: Json;
    ledger?: WalkOptions["ledger"];
    answer?: Answers;
    steer?: (walk: Walk, port: PlainPort) => void;
  } = {},
): Promise<PlainRun> {
  const plan = planOf(definition);
  const port = new PlainPort(options.answer ?? ((path) => ({ output: path })));
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
  const walk = new Walk(
    {
      plan,
      run,
      input: options.input ?? null,
      env: {},
      depth: 0,
      effectRoot: run.id,
      ...(options.ledger ? { ledger: options.ledger } : {}),
    },
    port,
  );
  options.steer?.(walk, port);
  return { end: await port.drive(walk.run()), port, walk };
}
