import { expect, test } from "@jest/globals";
import { expectedEnds } from "./expected-ends.ts";
import { wellRun } from "./sample.ts";

test("a run that ends as it should holds", () => expect(expectedEnds(wellRun())).toEqual([]));

test("another end breaks it", () => {
  const evidence = wellRun();
  evidence.rows[0]!.status = "failed";
  expect(expectedEnds(evidence)).toEqual(["r should have ended completed and is failed"]);
});

test("no end breaks it", () =>
  expect(expectedEnds({ ...wellRun(), rows: [] })).toEqual(["r should have ended completed and is not recorded"]));

test("any end holds where none is expected", () =>
  expect(expectedEnds({ ...wellRun(), starts: [{ run: "r", isAccepted: true }], rows: [] })).toEqual([]));
