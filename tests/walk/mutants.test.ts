import { expect, test } from "@jest/globals";
import { problemCodes, type DefinitionProblem } from "../../contracts/definition.ts";
import type { JsonObject } from "../../contracts/json.ts";
import { valueAt } from "../../language/finding.ts";
import { readDefinitionValue } from "../../language/index.ts";
import { damages, mutate } from "./mutate.ts";
import { goodDefinitions } from "./good-definitions.ts";
import { createRandom } from "./random-definition.ts";
import { runPlain } from "./run-plain.ts";
import { sampleOf } from "./sample.ts";
import { Stuck } from "./virtual-time.ts";
import { casesOf, firstSeedOf } from "../cases.ts";

const count = casesOf(10_000, "MUTANT");
const firstSeed = firstSeedOf("MUTANT");

test(`${count} damaged definitions are refused with a reason, or run to an end`, async () => {
  const definitions = goodDefinitions();
  expect(definitions.length).toBeGreaterThanOrEqual(40);
  const ends = new Map<string, number>();
  for (let seed = firstSeed, made = 0; made < count; seed++) {
    const random = createRandom(seed);
    const [name, definition] = definitions[Math.floor(random() * definitions.length)]!;
    const how = damages[seed % damages.length]!;
    const mutant = mutate(definition, how, random);
    if (!mutant) continue;
    made += 1;
    const end = await endOf(mutant, `seed ${seed}: ${name}, ${how}`);
    ends.set(end, (ends.get(end) ?? 0) + 1);
  }
  const counts = Object.fromEntries([...ends].toSorted(([a], [b]) => a.localeCompare(b)));
  process.stdout.write(`${count} mutants of ${definitions.length} definitions: ${JSON.stringify(counts)}\n`);
  // Each way must be taken, or the test does not see it.
  for (const end of ["refused", "completed", "failed", "waiting"]) expect(ends.get(end) ?? 0).toBeGreaterThan(count / 100);
}, 1_200_000);

/** How a mutant ends. Whatever else happens (an error that is no fault, a run that stands still) fails the test with its name. */
async function endOf(mutant: JsonObject, name: string): Promise<string> {
  const read = readDefinitionValue(mutant, { hashOf: () => "hash" });
  if (!read.ok) {
    expect({ name, problems: read.problems.length > 0 ? read.problems.filter((problem) => !isTold(mutant, problem)) : "none" }).toEqual({
      name,
      problems: [],
    });
    return "refused";
  }
  try {
    const { end } = await runPlain(mutant, {
      input: sampleOf(read.plan.input),
      answer: (path) => ({ output: { path, id: path, url: "https://example.com", n: 1, ok: true } }),
    });
    return end.result.status;
  } catch (error) {
    if (error instanceof Stuck && isAboutOthers(error.shown)) return "waiting";
    throw new Error(`${name}\n${JSON.stringify(mutant)}`, { cause: error });
  }
}

const isTold = (mutant: JsonObject, { code, path, message }: DefinitionProblem): boolean =>
  code in problemCodes && /^.{10,}[.?]$/s.test(message) && leadsSomewhere(mutant, path);

/** Whether a path names a value, or one that is missing in an object that is there. */
function leadsSomewhere(mutant: JsonObject, path: string): boolean {
  const parts = [...path.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([A-Za-z_$][\w$]*)/g)].map(([, index, quoted, name]) =>
    index !== undefined ? Number(index) : quoted !== undefined ? (JSON.parse(quoted) as string) : name!,
  );
  return valueAt(mutant, parts.slice(0, -1)) !== undefined;
}

/** What a run may wait for that only others can give. */
const isAboutOthers = (shown: string): boolean => / waits for (event|a decision|a person)/.test(shown);
