import { randomUUID } from "node:crypto";
import { expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { readDefinitionValue } from "../../language/index.ts";
import { goodDefinitions } from "../walk/good-definitions.ts";
import { damages, mutate } from "../walk/mutate.ts";
import { createRandom } from "../walk/random-definition.ts";
import { sampleOf } from "../walk/sample.ts";
import { admin, uniqueName, type Answer, type RunBody } from "./client.ts";

const count = 200;

test(`${count} damaged definitions are refused over HTTP with a reason, or run on Temporal to an end or a wait`, async () => {
  const definitions = goodDefinitions();
  const mutants: { seed: number; mutant: JsonObject }[] = [];
  for (let seed = 50_001; mutants.length < count; seed++) {
    const random = createRandom(seed);
    const [, definition] = definitions[Math.floor(random() * definitions.length)]!;
    const mutant = mutate(definition, damages[seed % damages.length]!, random);
    if (mutant) mutants.push({ seed, mutant });
  }
  const ends = new Map<string, number>();
  for (let at = 0; at < mutants.length; at += 20)
    for (const end of await Promise.all(mutants.slice(at, at + 20).map(({ seed, mutant }) => endOf(mutant, seed))))
      ends.set(end, (ends.get(end) ?? 0) + 1);
  process.stdout.write(`${count} mutants on Temporal: ${JSON.stringify(Object.fromEntries(ends))}\n`);
  for (const end of ["refused", "completed", "failed"]) expect(ends.get(end) ?? 0).toBeGreaterThan(0);
}, 300_000);

/** The run when it has ended or waits, or after a while. */
async function settled(id: string): Promise<RunBody> {
  for (let turn = 0; ; turn++) {
    const { body } = await admin.get<RunBody>(`/api/v2/runs/${id}?wait=2`);
    if (body.endedAt !== null || turn === 10 || ["waiting", "needs_attention"].includes(body.status)) return body;
  }
}

/** As clients should: again, under the same key, when a part of the system does not answer in time. */
async function insist<Body>(path: string, body: object): Promise<Answer<Body>> {
  for (const key = randomUUID(); ;) {
    const answer = await admin.post<Body>(path, body, key);
    if (answer.status !== 503) return answer;
  }
}

async function endOf(mutant: JsonObject, seed: number): Promise<string> {
  // Long waits are not what is looked at here, nor calls to servers that are not there.
  const patient = JSON.parse(JSON.stringify(mutant).replaceAll(/"duration":"[^"]*"/g, '"duration":"10ms"')) as JsonObject;
  const named = typeof patient["name"] === "string" ? { ...patient, name: uniqueName() } : patient;
  const answer = await insist<JsonObject>("/api/v2/workflows", named);
  if (answer.status > 201) {
    expect({ seed, status: answer.status, errors: (answer.body["errors"] as Json[] | undefined)?.length ?? 0 }).toEqual({
      seed,
      status: 422,
      errors: expect.any(Number),
    });
    return "refused";
  }
  const read = readDefinitionValue(named, { hashOf: () => "" });
  const input = read.ok ? sampleOf(read.plan.input) : {};
  const started = await insist<RunBody>("/api/v2/runs", { workflow: named["name"], input });
  if (started.status !== 202) {
    expect({ seed, status: started.status, type: started.body["type" as never] }).toEqual({ seed, status: 422, type: "input_invalid" });
    return "refused at its start";
  }
  const body = await settled(started.body.id);
  expect({ seed, status: body.status }).toEqual({
    seed,
    status: expect.stringMatching(/^(completed|completed_with_errors|failed|canceled|waiting|needs_attention|running)$/),
  });
  if (body.endedAt === null) {
    // What has not ended says for what it waits, or has a step at work; it can always be cancelled.
    const steps = body.status === "running" ? await admin.run(body.id).steps() : [];
    expect({ seed, isAtWork: body.waitingFor !== null || steps.some(({ status }) => status === "running") }).toEqual({
      seed,
      isAtWork: true,
    });
    await insist(`/api/v2/runs/${body.id}/cancel`, {});
    const after = await admin.run(body.id).end();
    expect({ seed, status: after.status }).toEqual({ seed, status: "canceled" });
    return body.status;
  }
  return body.status;
}
