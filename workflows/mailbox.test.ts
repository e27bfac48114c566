import { expect, test } from "@jest/globals";
import { limits } from "../contracts/limits.ts";
import type { PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import { definition } from "../tests/walk/steps.ts";
import type { Walk } from "./walk.ts";

/** A run that waits for its own payment hears of so many others before. */
const hear = (others: number, sent: { toAll?: true }): Promise<PlainRun> => {
  const paid = { id: "paid", type: "listen", one: { event: "payment", when: "${event.data == input}" }, timeout: "1m" };
  const steer = (walk: Walk, port: PlainPort): void => {
    const post = (id: string, data: number): void => walk.mailbox.post({ event: "payment", at: 0, id, data, ...sent });
    port.at(1_000, () => Array.from({ length: others }, (_, n) => post(`${n}`, -n)));
    port.at(2_000, () => post("own", 7));
  };
  return runPlain(definition([paid]), { input: 7, steer });
};

test("events to all that others want leave room for the one it waits for", async () => {
  const { end, walk } = await hear(limits.mailboxUnreadMax + 500, { toAll: true });
  expect(end.result).toMatchObject({ status: "completed", output: { data: 7 } });
  expect(walk.mailbox.state().unread.length).toBeLessThan(limits.mailboxUnreadMax);
});

test("events to the run itself are kept until it listens, and when there are too many the next is refused", async () => {
  const { end, port } = await hear(limits.mailboxUnreadMax, {});
  expect(port.log.find(({ type }) => type === "event.refused")).toMatchObject({ data: { id: "own" } });
  expect(end.error).toMatchObject({ type: "timeout" });
});
