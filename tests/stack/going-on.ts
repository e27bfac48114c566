import { randomUUID } from "node:crypto";
import { expect } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, insist, type Answer, type Definition, type Model, type Place, type Run, type RunBody } from "./client.ts";

/** What tests of retry and fork share: steps whose calls are counted, and new runs from old ones. */

export interface Preview {
  reuse: string[];
  run: string[];
  childRuns: { step: string; of: string; reuse: string[]; run: string[] }[];
}

export const set = (id: string, values: unknown, more: object = {}) => ({ id, type: "set", values, ...more });
const once = { retry: { maxAttempts: 1 } };
export const llm = (id: string, model: Model, more: object = {}) => ({
  id,
  type: "llm",
  model: model.wanted,
  prompt: id,
  ...once,
  ...more,
});
/** Made whenever the walk comes to it: only what is to be undone changes something, at a server that knows keys. */
export const call = (id: string, place: Place, more: object = {}) => ({
  id,
  type: "http",
  method: "POST",
  url: place.url,
  ...("compensate" in more ? { idempotent: true } : { effect: "read" }),
  ...once,
  ...more,
});
export const broken = { status: 400 };

export const ask = <Body = RunBody>(run: Run, verb: "retry" | "fork", body: JsonObject = {}, key?: string): Promise<Answer<Body>> =>
  admin.post<Body>(`${run.path}/${verb}`, body, key);

/** The new run. */
export async function begun(run: Run, verb: "retry" | "fork", body: JsonObject = {}): Promise<Run> {
  const key = randomUUID();
  const answer = await insist(() => ask(run, verb, body, key));
  if (answer.status !== 202) throw new Error(`Not started: ${JSON.stringify(answer.body)}`);
  return admin.run(answer.body.id);
}

/** A run that has failed. */
export async function failed(definition: Definition, input?: JsonObject): Promise<Run> {
  const run = await admin.begin(definition, input);
  expect(await run.end()).toMatchObject({ status: "failed" });
  return run;
}
