import { test } from "@jest/globals";
import { answerByPath } from "./answers.ts";
import { expectSameWhenContinued } from "./continued.ts";
import type { Answer } from "./plain-port.ts";
import { plain } from "./plain.ts";
import { randomDefinition } from "./random-definition.ts";
import type { PlainRun } from "./run-plain.ts";
import { casesOf, firstSeedOf } from "../cases.ts";

const cases = casesOf(1_000, "CONTINUE");
const firstSeed = firstSeedOf("CONTINUE");

test(`${cases} random definitions that continue as new after every step do the same things at the same times`, async () => {
  await expectSameWhenContinued({ firstSeed, cases, definition: randomDefinition, options: { answer: atOnce }, toldBy, compared: 0.9 });
}, 600_000);

const toldBy = ({ end, port }: PlainRun): object => ({
  output: plain(end.result.output),
  error: end.error?.type,
  trace: port.trace.map(({ at, what, path }) => `${at} ${what} ${path}`).toSorted(),
  events: port.log.map(({ identity }) => identity).toSorted(),
});

/** Calls that take no time: nothing has to wait for one of them before the run goes on elsewhere. */
const atOnce = (path: string, fields: unknown): Answer => ({ ...answerByPath(path, fields), afterMs: 0 });
