import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import type { Answer } from "./plain-port.ts";
import { answerRich, attended } from "./people.ts";
import { plain } from "./plain.ts";
import { richDefinition } from "./rich-definition.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";
import { timedByWaits } from "./timed-by-waits.ts";

const cases = Number(process.env["CONTINUE_RICH_CASES"] ?? 120);
const firstSeed = Number(process.env["CONTINUE_SEED"] ?? 1);

test(`${cases} definitions with everything that keeps a run open, continued as new after every step, do the same`, async () => {
  let [executions, compared] = [0, 0];
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    const definition = timedByWaits(richDefinition(seed));
    const [whole, parts] = [await run(definition, seed, false), await run(definition, seed, true)];
    executions += parts.executions;
    if (isTie(whole)) continue;
    compared += 1;
    expect({ seed, ...toldBy(parts) }).toEqual({ seed, ...toldBy(whole) });
  }
  expect(executions).toBeGreaterThan(cases * 3);
  expect(compared).toBeGreaterThan(cases * 0.8);
}, 3_600_000);

const run = (definition: JsonObject, seed: number, continues: boolean): Promise<PlainRun> =>
  runPlain(definition, { input: { n: seed % 7 }, answer: atOnce, continues, steer: attended });

/** Whether a step began in the very moment in which it was cancelled: it might as well not have begun. */
function isTie({ port }: PlainRun): boolean {
  const started = new Set(port.log.filter(({ type }) => type === "step.started").map(({ step, time }) => `${step} ${time}`));
  return port.log.some(({ type, step, time }) => type === "step.canceled" && started.has(`${step} ${time}`));
}

const toldBy = ({ end, port }: PlainRun): object => ({
  output: plain(end.result.output),
  status: end.result.status,
  error: end.error?.type,
  trace: port.trace.map(({ at, what, path }) => `${at} ${what} ${path}`).toSorted(),
  events: port.log
    .filter(({ type }) => !/^run\.(running|waiting|needs)/.test(type))
    .map(({ identity, time }) => `${time} ${identity}`)
    .toSorted(),
});

/** Calls that take no time: nothing has to wait for one of them before the run goes on elsewhere. Children outlast an execution. */
function atOnce(path: string, fields: unknown, attempt: number): Answer {
  const answer = answerRich(path, fields, attempt);
  return "tool" in (fields as object) ? { ...answer, afterMs: 0 } : answer;
}
