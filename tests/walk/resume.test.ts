import { expect, test } from "@jest/globals";
import { answerByPath } from "./answers.ts";
import { createRandom, randomDefinition } from "./random-definition.ts";
import type { LedgerSeed } from "../../workflows/ledger.ts";
import type { Walk } from "../../workflows/walk.ts";
import type { PlainPort } from "./plain-port.ts";
import { runPlain } from "./run-plain.ts";
import { casesOf } from "../cases.ts";

const cases = casesOf(300, "RESUME");

test("a run that is picked up from its ledger at any moment ends the same, and repeats nothing that was finished", async () => {
  let resumed = 0;
  for (let seed = 1; resumed < cases; seed++) {
    const definition = randomDefinition(seed);
    // Where time decides who wins, a later start may rightly end otherwise.
    if (JSON.stringify(definition).includes('"join"')) continue;
    const whole = await runPlain(definition, { input: { n: 1 }, answer: answerByPath });
    if (whole.end.error) continue;
    resumed += 1;
    const stopAt = createRandom(seed)() * whole.port.now();
    const ledger = await ledgerAt(stopAt, definition);
    const second = await runPlain(definition, { input: { n: 1 }, answer: answerByPath, ledger });
    expect({ seed, output: second.end.result.output }).toEqual({ seed, output: whole.end.result.output });
    const finished = new Set(ledger.entries.map(([path]) => path));
    expect(second.port.trace.filter(({ path }) => finished.has(path))).toEqual([]);
  }
});

async function ledgerAt(ms: number, definition: unknown): Promise<LedgerSeed> {
  let seed: LedgerSeed = { entries: [], places: [] };
  const steer = (walk: Walk, port: PlainPort): void => port.at(ms, () => void (seed = structuredClone(walk.ledger.seed())));
  await runPlain(definition, { input: { n: 1 }, answer: answerByPath, steer });
  return seed;
}
