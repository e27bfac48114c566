import { expect } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";
import { timedByWaits } from "./timed-by-waits.ts";

interface Property {
  firstSeed: number;
  cases: number;
  definition: (seed: number) => JsonObject;
  options: Pick<NonNullable<Parameters<typeof runPlain>[1]>, "answer" | "steer">;
  /** What must be the same. */
  toldBy: (run: PlainRun) => object;
  /** Share of cases that may not be left out as ties. */
  compared: number;
}

/** Runs that continue as new after every step tell the same as runs that never do. */
export async function expectSameWhenContinued({ firstSeed, cases, definition, options, toldBy, compared: share }: Property): Promise<void> {
  let [executions, compared] = [0, 0];
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    const timed = timedByWaits(definition(seed));
    const run = (continues: boolean): Promise<PlainRun> => runPlain(timed, { input: { n: seed % 7 }, continues, ...options });
    const [whole, parts] = [await run(false), await run(true)];
    executions += parts.executions;
    if (isTie(whole)) continue;
    compared += 1;
    expect({ seed, ...toldBy(parts) }).toEqual({ seed, ...toldBy(whole) });
  }
  expect(executions).toBeGreaterThan(cases * 3);
  expect(compared).toBeGreaterThan(cases * share);
}

/** Whether a step began in the very moment in which it was cancelled: it might as well not have begun. */
function isTie({ port }: PlainRun): boolean {
  const started = new Set(port.log.filter(({ type }) => type === "step.started").map(({ step, time }) => `${step} ${time}`));
  return port.log.some(({ type, step, time }) => type === "step.canceled" && started.has(`${step} ${time}`));
}
