import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Mail } from "../contracts/agent-messages.ts";
import { limits } from "../contracts/limits.ts";
import { MailLine } from "./mail-line.ts";
import { casesOf } from "../tests/cases.ts";

const mail = (message: string, sender: string, round = 1): Mail => ({
  message,
  round,
  sender: { kind: "service", name: sender },
  type: "t",
});

test("a delivery counts once; sent again by hand it is another", () => {
  const line = new MailLine();
  line.receive([mail("1", "a"), mail("1", "a"), mail("1", "a", 2)]);
  expect(line.state.waiting.map(({ round }) => round)).toEqual([1, 2]);
});

test("no more are at work than may be", () => {
  const line = new MailLine();
  line.receive(Array.from({ length: 50 }, (_, n) => mail(`${n}`, `sender ${n}`)));
  expect([line.take().length, line.take().length, line.waits]).toEqual([limits.mailboxAtWorkMax, 0, 50 - limits.mailboxAtWorkMax]);
});

test("ids beyond those that are kept are forgotten, the oldest first", () => {
  const line = new MailLine();
  for (let n = 0; n <= limits.mailboxSeenMax; n += 1) line.receive([mail(`${n}`, "a")]);
  expect([line.state.seen.length, line.state.seen[0]]).toEqual([limits.mailboxSeenMax, "1#1"]);
});

type Step = { what: "receive"; sender: number; count: number; repeats: boolean } | { what: "take" | "done" | "continue" };

test("whatever happens, also continue-as-new at any moment: each is done once, those of a sender in their order", () => {
  const receive = fc.record({
    what: fc.constant("receive" as const),
    sender: fc.nat(14),
    count: fc.integer({ min: 1, max: 4 }),
    repeats: fc.boolean(),
  });
  const other = fc.record({ what: fc.constantFrom("take" as const, "done" as const, "continue" as const) });
  fc.assert(
    fc.property(fc.array(fc.oneof(receive, other), { maxLength: 60 }), (steps) => {
      const sent: Mail[] = [];
      const done: Mail[] = [];
      let line = new MailLine();
      const play = (step: Step): void => {
        if (step.what === "receive") {
          const batch = Array.from({ length: step.count }, (_, n) => mail(`${sent.length + n}`, `${step.sender}`));
          sent.push(...batch);
          line.receive(step.repeats ? [...sent, ...batch] : batch);
        } else if (step.what === "continue") line = new MailLine(JSON.parse(JSON.stringify(line.state)));
        else if (step.what === "take") line.take();
        else if (line.atWork[0]) {
          done.push(line.atWork[0]);
          line.done(line.atWork[0]);
        }
      };
      for (const step of steps) play(step);
      for (let more = true; more; more = line.waits + line.atWork.length > 0) for (const what of ["take", "done"] as const) play({ what });
      const of = (mails: Mail[], sender: string): string[] => mails.flatMap((each) => (each.sender.name === sender ? [each.message] : []));
      expect(done).toHaveLength(sent.length);
      for (const { sender } of sent) expect(of(done, sender.name)).toEqual(of(sent, sender.name));
    }),
    { numRuns: casesOf(500) },
  );
});
