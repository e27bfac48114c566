import { expect, test } from "@jest/globals";
import type { RunEnd } from "../../contracts/run-end.ts";
import { answerByPath as answer } from "./answers.ts";
import { plain } from "./plain.ts";
import { createRandom, randomDefinition, shortenSome } from "./random-definition.ts";
import { referenceRun } from "./reference.ts";
import { runPlain } from "./run-plain.ts";
import { casesOf, firstSeedOf } from "../cases.ts";

const cases = casesOf(1_000, "WALK");
const firstSeed = firstSeedOf("WALK");

test(`${cases} random definitions give the same output and the same calls at the same times as the plain evaluator, and the same output with short steps`, async () => {
  const ends = new Map<string, number>();
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    const definition = randomDefinition(seed);
    const expected = referenceRun(definition, { n: seed % 7 }, answer);
    const { end, port } = await runPlain(definition, { input: { n: seed % 7 }, answer });
    const told = toldBy(end);
    const optional = new Set(expected.calls.filter((call) => call.isOptional).map(nameOf));
    const calls = port.trace.filter(({ what }) => what === "start").map(({ path, at }) => nameOf({ path, start: at }));
    expect({ seed, ...told, calls: calls.filter((call) => !optional.has(call)).toSorted() }).toEqual({
      seed,
      ...("error" in expected ? { error: expected.error } : { output: plain(expected.output) }),
      calls: expected.calls
        .map(nameOf)
        .filter((call) => !optional.has(call))
        .toSorted(),
    });
    expectGapFree(port.log.map((event) => event.identity));
    shortenSome(definition, createRandom(seed));
    expect({ seed, ...toldBy((await runPlain(definition, { input: { n: seed % 7 }, answer })).end) }).toEqual({ seed, ...told });
    const kind = end.error?.type ?? end.result.status;
    ends.set(kind, (ends.get(kind) ?? 0) + 1);
  }
  // The generator must not only make runs that fail at once.
  expect((ends.get("completed") ?? 0) + (ends.get("completed_with_errors") ?? 0)).toBeGreaterThan(cases / 3);
  expect(ends.get("tool") ?? 0).toBeGreaterThan(cases / 100);
});

const toldBy = ({ result, error }: RunEnd): object => (error ? { error: error.type } : { output: plain(result.output) });
const nameOf = ({ path, start }: { path: string; start: number }): string => `${path}@${start}`;

function expectGapFree(identities: string[]): void {
  expect(new Set(identities).size).toBe(identities.length);
}
