import { expect, test } from "@jest/globals";
import { play } from "./play.ts";
import { casesOf, firstSeedOf } from "../cases.ts";

const cases = casesOf(500, "SEQUENCE");
const firstSeed = firstSeedOf("SEQUENCE");

test(`${cases} random sequences of pauses, cancels, changes, events and answers keep the invariants, and so does the run that goes on from each`, async () => {
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) expect({ seed, broken: await play(seed) }).toEqual({ seed, broken: [] });
}, 3_600_000);
