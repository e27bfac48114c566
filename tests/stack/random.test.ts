import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { answerByPath } from "../walk/answers.ts";
import { plain } from "../walk/plain.ts";
import { randomDefinition } from "../walk/random-definition.ts";
import { referenceRun } from "../walk/reference.ts";
import { admin } from "./client.ts";

const cases = 24;

test(`${cases} random definitions end on Temporal as the plain evaluator says`, async () => {
  const chosen: number[] = [];
  // Which branch is first, and which of two errors an item had, is a matter of real time here.
  for (let seed = 10_001; chosen.length < cases; seed++)
    if (!/"join"|"collect"/.test(JSON.stringify(randomDefinition(seed)))) chosen.push(seed);
  await Promise.all(chosen.map(expectSameEnd));
});

async function expectSameEnd(seed: number): Promise<void> {
  const { steps } = randomDefinition(seed);
  const input = { n: seed % 7 };
  const expected = referenceRun({ steps: steps! }, input, answerByPath);
  const run = await admin.begin({ steps: steps as JsonObject[] }, input);
  const { status, output } = await run.end();
  const isError = "error" in expected;
  expect({ seed, hasFailed: status === "failed", output: isError ? null : plain(output) }).toEqual({
    seed,
    hasFailed: isError,
    output: isError ? null : plain(expected.output),
  });
  const events = await run.events();
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
}
