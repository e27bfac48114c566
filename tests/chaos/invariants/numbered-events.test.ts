import { expect, test } from "@jest/globals";
import { numberedEvents } from "./numbered-events.ts";
import { wellRun } from "./sample.ts";

test("a log of 1..n holds, in whatever order it is read", () => {
  const evidence = wellRun();
  evidence.events.reverse();
  expect(numberedEvents(evidence)).toEqual([]);
});

test("a gap breaks it", () => {
  const evidence = wellRun();
  evidence.events.splice(2, 1);
  expect(numberedEvents(evidence)).toEqual(["r has event 4 where 3 should be"]);
});

test("a number that is there twice breaks it", () => {
  const evidence = wellRun();
  evidence.events[3]!.seq = 3;
  expect(numberedEvents(evidence)).toEqual(["r has event 3 where 4 should be"]);
});

test("a step that completes twice breaks it", () => {
  const evidence = wellRun();
  evidence.events[2]!.step = "a";
  expect(numberedEvents(evidence)).toEqual(["r a completes 2 times"]);
});

test("a row without a log breaks it", () => {
  expect(numberedEvents({ ...wellRun(), events: [] })).toEqual(["r has a row and no event"]);
});
