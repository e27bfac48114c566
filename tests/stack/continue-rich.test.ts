import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { answerRich, attended } from "../walk/people.ts";
import { hash } from "../walk/answers.ts";
import { plain } from "../walk/plain.ts";
import { richDefinition } from "../walk/rich-definition.ts";
import { runPlain } from "../walk/run-plain.ts";
import { admin, host, type EventBody, type Run } from "./client.ts";

/** So many of each kind: all in order, and some of it side by side. */
const count = 6;

/** Real time would decide. */
const racing = /"(join|until|rest|timeout|expiresAfter|remindAfter|background|isolate|budget|export|lock|any)":|collect|test\.(flaky|dear)/;
const beside = /"type":"(parallel|foreach)"|"needs":/;
const open = ["wait.started", "listen.started", "approval.requested", "step.parked"];

test("definitions with waits, events, questions, loops and compensation tell the same in new executions after every step", async () => {
  const chosen = [...(await choose((text) => !beside.test(text))), ...(await choose((text) => beside.test(text)))];
  const child = await admin.publish({ steps: [{ id: "out", type: "set", values: "${input.n}" }] });
  const told = await Promise.all(
    chosen.map(async (seed) => {
      const {
        name: _,
        version: __,
        ...definition
      } = JSON.parse(hasty(seed).replaceAll(`"workflow":"other"`, `"workflow":"${child}"`)) as JsonObject;
      const workflow = await admin.publish(definition as never);
      const input = { n: seed % 7 };
      const isInOrder = !beside.test(hasty(seed));
      const whole = await tellOf(await admin.start(workflow, input), isInOrder);
      const parts = admin.run(await host.startContinuing(workflow, input, 1));
      expect({ seed, ...(await tellOf(parts, isInOrder)) }).toEqual({ seed, ...whole });
      expect(await host.executions("default", parts.id)).toBeGreaterThan(1);
      return whole.events.map((event) => event.split(" ")[1]!);
    }),
  );
  // What was looked at is what the name says.
  const kinds = new Set(told.flat());
  for (const kind of [...open, "step.compensated"]) expect(kinds).toContain(kind);
}, 240_000);

/** Definitions that keep something open, and in which nobody is late. */
async function choose(fits: (text: string) => boolean): Promise<number[]> {
  const chosen: number[] = [];
  for (let seed = 30_001; chosen.length < count; seed++) {
    const text = hasty(seed);
    if (racing.test(text) || !fits(text)) continue;
    const { end, port } = await runPlain(JSON.parse(text), { input: { n: seed % 7 }, answer: answerRich, steer: attended });
    const isOpen = port.log.some(({ type }) => open.includes(type));
    // Where an error cuts what is beside it, real time decides what that had come to.
    const isCertain = !beside.test(text) || (end.result.status === "completed" && !port.log.some(({ type }) => type === "step.failed"));
    if (isOpen && isCertain && port.log.length > 12) chosen.push(seed);
  }
  return chosen;
}

/** With short waits. What is all in order fails in the end, so that what was done is undone. */
function hasty(seed: number): string {
  const definition = richDefinition(seed);
  const text = JSON.stringify(definition)
    .replaceAll('"duration":"10s"', '"duration":"300ms"')
    .replaceAll(/"initialInterval":"\d+s"/g, '"initialInterval":"20ms"');
  if (beside.test(text)) return text;
  const hasty = JSON.parse(text) as { steps: JsonObject[] };
  return JSON.stringify({ ...hasty, steps: [...hasty.steps, { id: "last", type: "raise", error: { type: "over" } }] });
}

interface Told {
  status: string;
  output: unknown;
  error: unknown;
  events: string[];
}

/** How it ended and what its log says: in the order of the log, or of each step where some are side by side. */
async function tellOf(run: Run, isInOrder: boolean): Promise<Told> {
  const [{ status, output, error }] = await Promise.all([run.end(), attend(run)]);
  const events = (await run.events()).filter(({ type }) => !/^run\.(running|waiting|needs)/.test(type));
  const told = isInOrder ? events : events.toSorted((a, b) => (a.step ?? "").localeCompare(b.step ?? "") || a.seq - b.seq);
  return { status, output: untimed(plain(output)), error: (error as { type?: string } | null)?.type, events: told.map(lineOf) };
}

const lineOf = ({ type, step, data }: EventBody): string => `${step ?? ""} ${type} ${Number(data["attempt"] ?? 1)}`;

/** Somebody sends every event, answers every question and sees to every parked step. */
async function attend(run: Run): Promise<void> {
  for await (const { type, step, data } of run.stream()) {
    const chance = hash(step ?? "");
    if (type === "listen.started")
      for (const event of data["events"] as string[]) await run.signal(event, { n: chance % 50 }, `${step}${event}`);
    if (type === "approval.requested") await admin.decide(data["id"] as string, { decision: chance % 3 === 0 ? "reject" : "approve" });
    if (type === "step.parked") await run.attend(step!, (["retry", "skip", "fail"] as const)[chance % 3]!);
  }
}

/** When an event came. */
const untimed = (output: unknown): unknown => JSON.parse(JSON.stringify(output), (key, value: unknown) => (key === "at" ? "now" : value));
