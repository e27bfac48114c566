import { test } from "@jest/globals";
import { expectSameWhenContinued } from "./continued.ts";
import type { Answer } from "./plain-port.ts";
import { answerRich, attended } from "./people.ts";
import { plain } from "./plain.ts";
import { richDefinition } from "./rich-definition.ts";
import type { PlainRun } from "./run-plain.ts";
import { casesOf, firstSeedOf } from "../cases.ts";

const cases = casesOf(1_000, "CONTINUE_RICH");
const firstSeed = firstSeedOf("CONTINUE");

test(`${cases} definitions with everything that keeps a run open, continued as new after every step, do the same`, async () => {
  await expectSameWhenContinued({
    firstSeed,
    cases,
    definition: richDefinition,
    options: { answer: atOnce, steer: attended },
    toldBy,
    compared: 0.8,
  });
}, 3_600_000);

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
