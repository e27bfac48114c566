import { describe, expect, test } from "@jest/globals";
import { admin, host, Place, type EventBody, type Run } from "./client.ts";

const call = (id: string, place: Place, more: object = {}) => ({ id, type: "http", method: "POST", url: place.url, ...more });
const told = ({ seq, type, step, data }: EventBody) => ({ seq, type, step, data });
const lineOf = ({ type, step }: EventBody): string => (step === null ? type : `${type} ${step}`);

/** A run that is cancelled while its end is being recorded; gives whether Temporal refused the task that told the end. */
async function cancelAtItsEnd(place: Place): Promise<{ run: Run; isRefused: boolean }> {
  const pay = call("pay", place, { compensate: [call("refund", place)] });
  const listen = { id: "l", type: "listen", one: { event: "filler" } };
  const run = await admin.begin({ steps: [pay, listen, { id: "last", type: "set", values: 1 }] });
  await run.until("run.waiting");
  await host.settle("default", run.id);
  await host.holdRow(run.id);
  // The last task of the run begins with it.
  await host.fillMailbox("default", run.id, 1);
  await host.untilRowWanted(run.id);
  await run.cancel();
  await host.releaseRow(run.id);
  await run.end();
  const { events } = (await host.history("default", run.id)) as { events: { eventType: string }[] };
  return { run, isRefused: events.some(({ eventType }) => eventType === "EVENT_TYPE_WORKFLOW_TASK_FAILED") };
}

describe("a run", () => {
  test("that is cancelled in the moment it ends says what became of it, and nothing else", async () => {
    const place = new Place();
    // What a busy machine does not record within 2 s is recorded outside of the task: then nothing is refused.
    for (let tries = 0; tries < 8; tries++) {
      const { run, isRefused } = await cancelAtItsEnd(place);
      const lines = (await run.events()).map(lineOf);
      const { status } = await run.read();
      expect(lines.filter((line) => /^run\.(completed|canceled|failed)/.test(line))).toEqual([`run.${status}`]);
      expect(lines.at(-1)).toBe(`run.${status}`);
      expect(lines.includes("step.compensated pay")).toBe(status === "canceled");
      if (isRefused) return;
    }
    throw new Error("No cancel came in the moment of an end.");
  });

  test("whose end did not get into the log, because the worker died, is told as it was", async () => {
    const run = await admin.begin({ steps: [{ id: "a", type: "raise", error: { type: "odd", detail: "as it was" } }] });
    const { status, error } = await run.end();
    const events = await run.events();
    await host.loseEnd(run.id);
    expect(await run.end()).toMatchObject({ status, error });
    expect((await run.events()).map(told)).toEqual(events.map(told));
  });
});
