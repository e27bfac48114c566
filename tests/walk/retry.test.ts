import { describe, expect, test } from "@jest/globals";
import type { RunEvent } from "../../contracts/events.ts";
import type { JsonObject } from "../../contracts/json.ts";
import { prefixesOf } from "../../language/step-path.ts";
import { answerByPath, boom } from "./answers.ts";
import { ledgerOfLog, rowsOf } from "./ledger-of-log.ts";
import type { Answers } from "./plain-port.ts";
import { createRandom, randomDefinition } from "./random-definition.ts";
import { runPlain, started } from "./run-plain.ts";
import { casesOf } from "../cases.ts";

const cases = casesOf(300, "RETRY");
const input = { n: 1 };

describe("random definitions, continued from their log", () => {
  test("cut off at any moment, they end as if nothing had happened and repeat no recorded call", async () => {
    await each(async (seed, definition, whole) => {
      const random = createRandom(seed);
      const log = await logAt(random() * whole.port.now(), definition);
      await expectContinued({ seed, definition, log, whole });
    });
  });

  test("failed at any call, they end as if it had not failed and repeat no call that was kept", async () => {
    let failed = 0;
    await each(async (seed, definition, whole) => {
      const calls = whole.port.trace.filter(({ what }) => what === "end").map(({ path }) => path);
      if (calls.length === 0) return;
      const bad = calls[Math.floor(createRandom(seed)() * calls.length)]!;
      const first = await runPlain(definition, { input, answer: failingAt(bad) });
      // A handler that takes the error makes another run of it.
      if (first.port.log.some(({ step }) => step?.includes(".catch"))) return;
      failed += 1;
      await expectContinued({ seed, definition, log: first.port.log, whole });
    });
    expect(failed).toBeGreaterThan(cases / 4);
  });
});

describe("variables", () => {
  const add = (id: string) => ({ id, type: "tool", tool: "t", arguments: {}, export: { total: "${vars.total + output}" } });
  const one: Answers = () => ({ output: 1 });
  const scope = { id: "scope", type: "sequence", steps: [add("b"), add("c")] };
  const definition = {
    name: "t",
    version: "1.0.0",
    vars: { total: 10 },
    steps: [add("a"), scope, { id: "bad", type: "tool", tool: "t" }, { id: "end", type: "set", values: "${vars.total}" }],
  };
  const badFails: Answers = (path) => (path === "bad" ? boom : { output: 1 });

  test("are what the steps taken over had set, calls and scopes alike", async () => {
    const first = await runPlain(definition, { answer: badFails });
    const { kept, ledger } = ledgerOfLog(definition, first.port.log);
    expect(kept).toMatchObject({ run: ["bad", "end"] });
    const second = await runPlain(definition, { answer: one, ledger });
    expect({ output: second.end.result.output, calls: started(second) }).toEqual({ output: 13, calls: ["bad"] });
  });
});

type Whole = Awaited<ReturnType<typeof runPlain>>;

/** Definitions in which time does not decide who wins, and that end well. */
async function each(act: (seed: number, definition: JsonObject, whole: Whole) => Promise<void>): Promise<void> {
  let done = 0;
  for (let seed = 1; done < cases; seed++) {
    const definition = randomDefinition(seed);
    if (JSON.stringify(definition).includes('"join"')) continue;
    const whole = await runPlain(definition, { input, answer: answerByPath });
    if (whole.end.error) continue;
    done += 1;
    await act(seed, definition, whole);
  }
}

interface Case {
  seed: number;
  definition: JsonObject;
  log: readonly RunEvent[];
  whole: Whole;
}

async function expectContinued({ seed, definition, log, whole }: Case): Promise<void> {
  const { kept, ledger } = ledgerOfLog(definition, log);
  const second = await runPlain(definition, { input, answer: answerByPath, ledger });
  expect({ seed, output: second.end.result.output }).toEqual({ seed, output: whole.end.result.output });
  const wholes = new Set(kept.entries.map(({ path }) => path));
  const again = started(second).filter((path) => [path, ...prefixesOf(path)].some((around) => wholes.has(around)));
  expect({ seed, again }).toEqual({ seed, again: [] });
  // Where nothing failed and was let pass, what is finished is kept without exception.
  const rows = rowsOf(log);
  if (JSON.stringify(definition).includes("test.fail") || rows.some(({ status }) => status === "failed")) return;
  const finished = new Set(rows.filter(({ status }) => status === "completed").map(({ path }) => path));
  expect({ seed, twice: started(second).filter((path) => finished.has(path) && !path.includes("catch")) }).toEqual({
    seed,
    twice: [],
  });
}

async function logAt(ms: number, definition: JsonObject): Promise<RunEvent[]> {
  let log: RunEvent[] = [];
  await runPlain(definition, { input, answer: answerByPath, steer: (_, port) => port.at(ms, () => void (log = [...port.log])) });
  return log;
}

const failingAt =
  (bad: string): Answers =>
  (path, fields) =>
    path === bad ? boom : answerByPath(path, fields);
