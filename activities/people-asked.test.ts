import { expect, test } from "@jest/globals";
import { askedTimes, type Word } from "./people-asked.ts";

/** `run step type at`, such as `a s approval.requested 5`; the step `-` is the run itself. */
const words = (...lines: string[]): Word[] =>
  lines.map((line) => {
    const [run, step, type, at] = line.split(" ");
    return { run: run!, step: step === "-" ? null : step!, type: type as Word["type"], time: new Date(Number(at)) };
  });

test.each([
  ["a question until it is answered", ["a s approval.requested 5", "a s approval.decided 9"], [[5, 9]]],
  ["one that expires", ["a s approval.requested 5", "a s approval.expired 9"], [[5, 9]]],
  ["a step that people attend to", ["a s step.parked 5", "a s step.attended 9"], [[5, 9]]],
  ["one whose step is cancelled", ["a s approval.requested 5", "a s step.canceled 7"], [[5, 7]]],
  ["all that a run leaves when it ends", ["a s approval.requested 5", "a t step.parked 6", "a - run.failed 9"], [[5, 9]]],
  ["not what another run ends", ["a s approval.requested 5", "b - run.failed 9"], [[5, undefined]]],
  ["no other step's answer", ["a s approval.requested 5", "a t approval.decided 9"], [[5, undefined]]],
  [
    "questions at the same time once",
    ["a s approval.requested 5", "a s approval.decided 9", "b s step.parked 7", "b s step.attended 12"],
    [[5, 12]],
  ],
  [
    "one within another once",
    ["a s approval.requested 5", "a s approval.decided 20", "b s step.parked 7", "b s step.attended 12"],
    [[5, 20]],
  ],
  ["one that is open since before others", ["a s approval.requested 5", "b s step.parked 7", "b s step.attended 12"], [[5, undefined]]],
  ["one that opens while another is", ["a s approval.requested 5", "a s approval.decided 9", "b s step.parked 7"], [[5, undefined]]],
  [
    "questions one after the other",
    ["a s approval.requested 5", "a s approval.decided 6", "a s approval.requested 8", "a s approval.decided 9"],
    [
      [5, 6],
      [8, 9],
    ],
  ],
  [
    "of what began before, the rest",
    ["a s approval.requested 1", "a s approval.decided 6", "b s step.parked 1", "b s step.attended 2"],
    [[4, 6]],
  ],
])("counts %s", (_, lines, times) => {
  const counted = askedTimes(words(...lines), 4).filter(({ from, to }) => from !== to);
  expect(counted).toEqual(times.map(([from, to]) => (to === undefined ? { from } : { from, to })));
});
