import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { liveChannel, type LiveHint } from "../contracts/messages.ts";
import { casesOf } from "../tests/cases.ts";
import { LiveTokens } from "./live-tokens.ts";
import type { Delta } from "./model-port.ts";

const call = { runId: "r_1", path: "say", round: 1, index: 0 };

function tell(deltas: Delta[], index = 0): LiveHint[] {
  const told: LiveHint[] = [];
  const live = new LiveTokens(
    (channel, message) => {
      expect(channel).toBe(liveChannel("r_1"));
      told.push(JSON.parse(message) as LiveHint);
    },
    { ...call, index },
  );
  for (const delta of deltas) live.add(delta);
  live.flush();
  return told;
}

const delta = fc.record({ kind: fc.constantFrom("text" as const, "thinking" as const), text: fc.string({ maxLength: 3_000 }) });

test("all of it is told, in its order, numbered without gap, in pieces of one kind", () => {
  fc.assert(
    fc.property(fc.array(delta), (deltas) => {
      const told = tell(deltas).filter((hint) => hint.type === "model.delta");
      expect(told.map(({ index }) => index)).toEqual(told.map((_, index) => index));
      for (const kind of ["text", "thinking"] as const) {
        const said = (of: readonly { kind: string; text: string }[]): string =>
          of.flatMap((each) => (each.kind === kind ? [each.text] : [])).join("");
        expect(said(told)).toBe(said(deltas));
      }
    }),
    { numRuns: casesOf(500, "LIVE") },
  );
});

test("the first word goes out at once, those that come close to each other after it together", () => {
  const words = ["one ", "two ", "three"].map((text) => ({ kind: "text" as const, text }));
  expect(tell(words)).toMatchObject([
    { type: "model.delta", text: "one " },
    { type: "model.delta", text: "two three" },
  ]);
});

test("a further call of the step takes back what was said before it", () => {
  expect(tell([{ kind: "text", text: "again" }], 2)).toMatchObject([
    { type: "model.reset", call: 2 },
    { type: "model.delta", call: 2, index: 0 },
  ]);
});
