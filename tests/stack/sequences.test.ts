import { randomUUID } from "node:crypto";
import { expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { RunEvent } from "../../contracts/events.ts";
import { hash } from "../walk/answers.ts";
import { broken, type Told } from "../walk/invariants.ts";
import { createRandom } from "../walk/random-definition.ts";
import { richDefinition } from "../walk/rich-definition.ts";
import { planOf } from "../walk/plan-of.ts";
import { admin, host, insist, Place, type EventBody, type Run } from "./client.ts";
import { begun } from "./going-on.ts";
import { casesOf, firstSeedOf } from "../cases.ts";

const cases = casesOf(50, "SEQUENCE");
const firstSeed = firstSeedOf("SEQUENCE");
/** At the same time: more would only wait for the two workers. */
const atOnce = 10;

test(`${cases} random sequences over HTTP, each with a run that goes on from it, keep the invariants on Temporal, and their replays do the same`, async () => {
  const seeds = chosen();
  const walked: string[] = [];
  const one = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift())
      expect({ seed, broken: await play(seed, walked) }).toEqual({ seed, broken: [] });
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  expect((await host.replays("default", walked)).broken).toEqual([]);
}, 300_000);

/** Not the largest, and none in windows. */
function chosen(): number[] {
  const seeds: number[] = [];
  for (let seed = firstSeed; seeds.length < cases; seed++) {
    const text = JSON.stringify(richDefinition(seed));
    if (text.length < 4_000 && !text.includes('"needs":[],"steps":[{"id":"s0"') && !/% 97|"isolate"/.test(text)) seeds.push(seed);
  }
  return seeds;
}

async function play(seed: number, walked: string[]): Promise<string[]> {
  const place = new Place();
  const definition = overHttp(richDefinition(seed), place.url) as JsonObject;
  const { name: _, version: __, ...body } = definition;
  const run = await admin.begin(body as { steps: object[] }, { n: seed % 7 });
  walked.push(run.id);
  const first = await ended(seed, run);
  const { status } = await run.read();
  // What has completed cannot be retried: it is forked, from one of its steps.
  const isFork = status === "completed" || status === "completed_with_errors";
  const from = isFork ? await oneOf(seed, run) : undefined;
  if (isFork && from === undefined) return first;
  const second = await (isFork ? begun(run, "fork", { from: from! }) : begun(run, "retry"));
  walked.push(second.id);
  const faults = await ended(seed, second, false);
  const taken = (await second.events()).filter(({ type }) => type === "step.reused").map(({ step }) => step!);
  const calls = (await place.calls()).map(({ headers }) => headers["idempotency-key"]!);
  const before = (await run.events()).filter(({ type, step }) => type === "step.started" && isCall(step!)).length;
  const after = (await second.events()).filter(({ type, step }) => type === "step.started" && isCall(step!));
  return [
    ...first,
    ...faults.map((fault) => `gone on: ${fault}`),
    ...after.filter(({ step }) => taken.includes(step!)).map(({ step }) => `${step} was taken over and called again`),
    ...(calls.length > before + after.length ? [`${calls.length} calls came for ${before + after.length} steps`] : []),
  ];
}

/** A step that a fork may begin from. */
async function oneOf(seed: number, run: Run): Promise<string | undefined> {
  const done = (await run.steps()).filter(
    ({ status, path }) => status === "completed" && !/(^|\.)(catch\d+|finally|compensate|on\w+)\.|\+\]/.test(path),
  );
  return done[seed % Math.max(1, done.length)]?.path;
}

/** Steer a run at random and see to it that everybody answers; gives what is wrong when it has ended. */
async function ended(seed: number, run: Run, isSteered = true): Promise<string[]> {
  const answering = answer(run);
  const [odd] = await Promise.all([isSteered ? steer(seed, run) : [], answering]);
  const body = await run.end();
  const events = await run.events();
  const { definition } = (await admin.get<{ definition: JsonObject }>(`${run.path}/plan`)).body;
  const faults = broken({ plan: planOf(definition), log: events.map(asLogged), trace: traceOf(events), pauseBeginsWithinMs });
  const gaps = events.every(({ seq }, index) => seq === index + 1) ? [] : ["The log has gaps"];
  const told = events.at(-1)!.type === `run.${body.status}` ? [] : [`The run is ${body.status} and its log says ${events.at(-1)!.type}`];
  return [...odd, ...faults, ...gaps, ...told, ...unmade(run, events)];
}

/** A call that was on its way when the run was paused begins a little later. */
const pauseBeginsWithinMs = 2_000;

const isCall = (path: string): boolean => path.endsWith("h");

/** Events over HTTP have no identity; two that are the same would be one. */
const asLogged = ({ seq, type, time, step, data }: EventBody): RunEvent => ({
  identity: String(seq),
  type: type as RunEvent["type"],
  time: Date.parse(time),
  ...(step === null ? {} : { step }),
  data,
});

/** When the far end was called, as far as the log can tell. */
function traceOf(events: readonly EventBody[]): Told[] {
  return events.flatMap(({ type, step, time }): Told[] => {
    const at = Date.parse(time);
    if (step === null || !isCall(step)) return [];
    if (type === "step.started") return [{ at, what: "start", path: step }];
    return type === "step.completed" ? [{ at, what: "end", path: step, isGood: true }] : [];
  });
}

/** Until the run ends: every event that it listens for, every answer, every parked step, a moment after it is asked for. */
async function answer(run: Run): Promise<void> {
  const answers: Promise<unknown>[] = [];
  for await (const { type, step, data, seq } of untilItsEnd(run)) {
    const spread = hash(`${step}${seq}`);
    const soon = async (act: () => Promise<{ status: number }>): Promise<void> => {
      await later(spread % 300);
      await heard(act);
    };
    if (type === "listen.started")
      for (const event of data["events"] as string[])
        answers.push(soon(() => admin.post(`${run.path}/signals`, { event, data: { n: spread % 50 }, id: `${seq}${event}` })));
    if (type === "approval.requested")
      answers.push(soon(() => admin.decide(data["id"] as string, { decision: spread % 3 === 0 ? "reject" : "approve" })));
    if (type === "step.parked") answers.push(soon(() => run.attend(step!, (["retry", "skip", "fail"] as const)[spread % 3]!)));
  }
  await Promise.all(answers);
}

/** Longer than one connection is read. */
async function* untilItsEnd(run: Run): AsyncGenerator<EventBody> {
  for (let after = 0; ;) {
    for await (const event of run.stream(after)) {
      after = event.seq;
      yield event;
    }
    if ((await run.read()).endedAt !== null) return;
  }
}

/** Gives what is wrong with the answers, and notes what the run has taken in. */
async function steer(seed: number, run: Run): Promise<string[]> {
  const random = createRandom(seed ^ 0x5eed);
  const acts = 1 + Math.floor(random() * 4);
  const faults: string[] = [];
  for (let n = 0; n < acts; n++) {
    await later(random() * 600);
    const kind = random();
    if (kind < 0.5) {
      await admin.post(`${run.path}/pause`, { timers: random() < 0.5 ? "run" : "freeze" });
      await later(random() < 0.15 ? pauseBeginsWithinMs + 1_000 : random() * 500);
      await heard(run.resume);
    } else if (kind < 0.6) await run.cancel();
    else if (kind < 0.75) await admin.post(`${run.path}/signals`, { event: "nobody", data: null, id: `${n}` });
    // One right behind the other: the second is made of what the first has left, made or not.
    else
      for (const part of ["a", "b"])
        faults.push(...(await patched(run, { op: "add", into: "", step: { id: `n${n}${part}`, type: "set", values: n } })));
  }
  return faults;
}

/** Taken in, or refused with a reason. */
async function patched(run: Run, operation: JsonObject): Promise<string[]> {
  const key = randomUUID();
  const ask = () => admin.request<JsonObject>("PATCH", `${run.path}/plan`, { body: { operations: [operation] }, key });
  const { status, body } = await insist(ask);
  if (status === 200) {
    accepted.set(run.id, [...(accepted.get(run.id) ?? []), body["planHash"] as string]);
    return [];
  }
  const isRefused = status === 409 && ["plan_refused", "run_ended", "conflict"].includes(body["code"] as string);
  // Not begun, or it was cancelled and does not answer any more.
  return isRefused || status === 503 ? [] : [`PATCH is answered with ${status} ${JSON.stringify(body)}`];
}

/** Plans that runs have taken in, by their hashes. */
const accepted = new Map<string, string[]>();

/** What was taken in was made, or the log says why not. */
function unmade(run: Run, events: readonly EventBody[]): string[] {
  const told = events.filter(({ type }) => type === "plan.changed" || type === "plan.refused").map(({ data }) => data["planHash"]);
  return (accepted.get(run.id) ?? [])
    .filter((hash) => !told.includes(hash))
    .map((hash) => `Of plan ${hash} the log does not say what became`);
}

/** Again when the run does not answer yet, as clients should: it would wait for ever. */
async function heard(act: () => Promise<{ status: number }>): Promise<void> {
  while ((await act()).status === 503) await later(50);
}

const later = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

/** Tools call the far end as well, times are short, locks are each run's own, a child is a wait. */
function overHttp(value: Json, url: string): Json {
  if (Array.isArray(value)) return value.map((item) => overHttp(item, url));
  if (typeof value !== "object" || value === null) return value;
  const { id, type, remindAfter: _, ...rest } = value;
  if (type === "workflow") return { ...outer(rest), id: id!, type: "wait", duration: "50ms" };
  if (type === "tool") return calling(value, url);
  const inner = Object.fromEntries(Object.entries(rest).map(([key, item]) => [key, overHttp(item, url)]));
  const short: JsonObject = {
    ...("duration" in rest ? { duration: "100ms" } : {}),
    ...("timeout" in rest ? { timeout: "1s" } : {}),
    ...("expiresAfter" in rest ? { expiresAfter: "1s" } : {}),
    ...("lock" in rest ? { lock: lockOf(rest) } : {}),
    ...("retry" in rest ? { retry: { maxAttempts: 2, initialInterval: "100ms", jitter: 0 } } : {}),
  };
  return { ...(id === undefined ? {} : { id }), ...(type === undefined ? {} : { type }), ...inner, ...short };
}

function calling(step: JsonObject, url: string): JsonObject {
  const { id, tool, arguments: given, compensate, onError, lock } = step;
  const common = { ...(onError === undefined ? {} : { onError }), retry: { maxAttempts: 1 } };
  const call = {
    id: `${id as string}h`,
    type: "http",
    method: "POST",
    url,
    ...(compensate === undefined ? { effect: "read" } : { idempotent: true }),
    // So that others go on beside it while a change waits.
    timeout: "2m",
    ...common,
    ...(compensate === undefined ? {} : { compensate: overHttp(compensate, url) }),
    ...(lock === undefined ? {} : { lock: lockOf(step) }),
  };
  const answer = { id: `${id as string}t`, type: "tool", tool: tool === "test.fail" ? tool : "test.number", arguments: given!, ...common };
  return { ...outer(step), id: id!, type: "sequence", steps: [call, answer] };
}

/** What must stand where the step stood. */
const outer = ({ if: condition, needs, background, export: exported }: JsonObject): JsonObject => ({
  ...(condition === undefined ? {} : { if: condition }),
  ...(needs === undefined ? {} : { needs }),
  ...(background === undefined ? {} : { background }),
  ...(exported === undefined ? {} : { export: exported }),
});

const lockOf = ({ lock }: JsonObject): JsonObject => ({
  ...(lock as JsonObject),
  key: `\${run.id}-${(lock as JsonObject)["key"] as string}`,
});
