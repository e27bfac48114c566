import { expect, test } from "@jest/globals";
import { answerByPath } from "./answers.ts";
import type { Answer } from "./plain-port.ts";
import { plain } from "./plain.ts";
import { randomDefinition } from "./random-definition.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";
import { timedByWaits } from "./timed-by-waits.ts";

const cases = Number(process.env["CONTINUE_CASES"] ?? 200);
const firstSeed = Number(process.env["CONTINUE_SEED"] ?? 1);

test(`${cases} random definitions that continue as new after every step do the same things at the same times`, async () => {
  let [executions, compared] = [0, 0];
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    const definition = timedByWaits(randomDefinition(seed));
    const [whole, parts] = [await run(definition, seed, false), await run(definition, seed, true)];
    executions += parts.executions;
    if (isTie(whole)) continue;
    compared += 1;
    expect({ seed, ...toldBy(parts) }).toEqual({ seed, ...toldBy(whole) });
  }
  expect(executions).toBeGreaterThan(cases * 3);
  expect(compared).toBeGreaterThan(cases * 0.9);
}, 600_000);

const run = (definition: object, seed: number, continues: boolean): Promise<PlainRun> =>
  runPlain(definition, { input: { n: seed % 7 }, answer: atOnce, continues });

/** Whether a step began in the very moment in which it was cancelled: it might as well not have begun. */
function isTie({ port }: PlainRun): boolean {
  const started = new Set(port.log.filter(({ type }) => type === "step.started").map(({ step, time }) => `${step} ${time}`));
  return port.log.some(({ type, step, time }) => type === "step.canceled" && started.has(`${step} ${time}`));
}

const toldBy = ({ end, port }: PlainRun): object => ({
  output: plain(end.result.output),
  error: end.error?.type,
  trace: port.trace.map(({ at, what, path }) => `${at} ${what} ${path}`).toSorted(),
  events: port.log.map(({ identity }) => identity).toSorted(),
});

/** Calls that take no time: nothing has to wait for one of them before the run goes on elsewhere. */
const atOnce = (path: string, fields: unknown): Answer => ({ ...answerByPath(path, fields), afterMs: 0 });
