import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, Place } from "./client.ts";
import { begun, call } from "./going-on.ts";

test("a retry of a run that was terminated hears what was sent to that one: what nobody had taken, and what had not been all", async () => {
  const [handled, slow] = [new Place(), new Place()];
  await slow.script({ status: 200, delayMs: 60_000 });
  const part = (id: string, step: object) => ({ [id]: [{ id, ...step }] });
  const stream = { type: "listen", one: { event: "news" }, foreach: { steps: [call("tell", handled)] }, until: "${event.data == 3}" };
  const branches = {
    ...part("both", {
      type: "listen",
      early: "ignore",
      all: [
        { event: "left", as: "left" },
        { event: "right", as: "right" },
      ],
    }),
    ...part("inbox", stream),
    late: [call("slow", slow), { id: "early", type: "listen", one: { event: "early" } }],
  };
  const first = await admin.begin({ steps: [{ id: "p", type: "parallel", branches }] });
  await slow.calls(1);
  for (const [event, data] of [
    ["early", { eur: 7 }],
    ["left", 1],
    ["news", 1],
    ["news", 2],
  ] as const)
    await first.signal(event, data);
  await handled.calls(2);
  await first.until("event.kept");
  await first.until("event.received", "p.both.both");
  await first.terminate();
  await first.end();
  const again = await begun(first, "retry");
  // Who ignores early events must be listening by then.
  await again.until("listen.started", "p.both.both");
  for (const [event, data] of [
    ["right", 2],
    ["news", 3],
  ] as const)
    await again.signal(event, data);
  const { output } = (await again.end()) as { output: JsonObject };
  expect(output).toMatchObject({ both: { left: { data: 1 }, right: { data: 2 } }, late: { data: { eur: 7 } } });
  const keys = (await handled.calls()).map(({ headers }) => headers["idempotency-key"]);
  expect(keys).toEqual([0, 1, 2].map((n) => `${first.id}:p.inbox.inbox[${n}].tell`));
});
