import { expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { casesOf, firstSeedOf } from "../cases.ts";
import { Bank } from "./bank.ts";
import type { PlainPort } from "./plain-port.ts";
import { createRandom } from "./random-definition.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";
import { boom } from "./answers.ts";
import { payOnce, toolOnce } from "./steps.ts";

const cases = casesOf(300, "UNDONE_RANDOM");
const firstSeed = firstSeedOf("UNDONE_RANDOM");

type Random = () => number;
const chance = (random: Random, share: number): boolean => random() < share;
const raise = { id: "no", type: "raise" };
const again = (random: Random) => ({ retry: { maxAttempts: 1 + Math.floor(random() * 3), initialInterval: "1s", jitter: 0 } });

/** Payments and steps that may fail, in `foreach`es that are isolated or not, in `try`s that undo or not, tried again or not. */
function definition(seed: number): JsonObject {
  const random = createRandom(seed);
  let ids = 0;
  const newId = (): string => `s${ids++}`;
  const block = (depth: number): JsonObject[] => Array.from({ length: 1 + Math.floor(random() * 3) }, () => step(depth));
  const step = (depth: number): JsonObject => {
    const id = newId();
    const kind = random();
    if (depth > 2 || kind < 0.35) return { ...payOnce(`${id}_pay`), ...(chance(random, 0.15) ? { if: "${input % 2 == 0}" } : {}) };
    if (kind < 0.55) return toolOnce(`${id}_may`);
    const scope = { id, ...(chance(random, 0.6) ? again(random) : {}), steps: block(depth + 1) };
    if (kind > 0.7)
      return { ...scope, type: "foreach", items: [0, 1, 2], concurrency: 1 + Math.floor(random() * 3), isolate: chance(random, 0.7) };
    return {
      ...scope,
      type: "try",
      undo: !mends(seed) && chance(random, 0.7),
      catch: [{ steps: mends(seed) && chance(random, 0.5) ? [toolOnce("mend")] : [raise] }],
    };
  };
  return {
    name: "random",
    version: "1.0.0",
    steps: [...block(0), { id: "items", type: "foreach", items: [0, 1, 2], isolate: true, steps: block(1) }],
  };
}

/** In some, errors are taken: what comes after them need not be done. There, nothing is undone before the run ends. */
const mends = (seed: number): boolean => seed % 4 === 0;

/** Of all calls that may fail so many do, here and there. */
function failures(random: Random, left: number): (path: string) => boolean {
  let rest = left;
  return (path) => path.endsWith("_may") && rest > 0 && chance(random, 0.3) && rest-- > 0;
}

async function play(seed: number): Promise<string[]> {
  const random = createRandom(seed ^ 0x7a11);
  const bank = new Bank();
  const fails = failures(random, 8);
  const answer = bank.answer((path) => (fails(path) ? boom : undefined));
  const continues = [false, true, 3][seed % 3]!;
  const steer = (walk: PlainRun["walk"], port: PlainPort): void => {
    if (chance(random, 0.2)) port.at(port.now() + Math.floor(random() * 60), () => walk.cancel("enough"));
  };
  let run: PlainRun | undefined;
  for (let round = 0; round < 20; round += 1) {
    run = await runPlain(definition(seed), { answer, continues, steer, input: seed as Json, ...(run ? { retryOf: run } : {}) });
    const isOver = run.end.result.status === "completed";
    const wrong = [...bank.wrong(isOver && (mends(seed) ? "perhaps" : true)), ...collisionsOf(run.port)];
    if (isOver || wrong.length > 0) return wrong.map((each) => `round ${round}: ${each}`);
  }
  return ["It never completes"];
}

const collisionsOf = (port: PlainPort): string[] => [
  ...port.collisions.map(({ identity }) => `Two events are ${identity}`),
  ...port.parts.flatMap(collisionsOf),
];

test(`${cases} random definitions, cancelled and failed and retried until they complete, leave every payment made once or undone`, async () => {
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) expect({ seed, wrong: await play(seed) }).toEqual({ seed, wrong: [] });
}, 1_200_000);
