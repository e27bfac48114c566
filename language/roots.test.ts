import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { isObject, type Json } from "../contracts/json.ts";
import type { DefinitionFormat } from "../contracts/definition.ts";
import { readDefinition } from "./index.ts";
import type { Block, Plan, Step } from "./plan.ts";
import { blocksOf } from "./plan-steps.ts";
import { freeRoots } from "./roots.ts";

const folder = new URL("../tests/definitions/good/", import.meta.url);

/** One with every field that no example has. */
const rare = `
name: rare
version: 1.0.0
steps:
  - { id: cached, type: llm, model: fast, prompt: "x", cache: { key: "\${input.k}", ttl: 1h } }
  - id: asked
    type: llm
    model: fast
    prompt: "\${input.p}"
    guardrails: [{ name: g, type: pattern, pattern: x, on: [output], outcome: human, assignees: ["role:support"], expiresAfter: 4h }]
`;

function planOf(text: string, format: DefinitionFormat): Plan {
  const read = readDefinition(text, format, { hashOf: () => "hash" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.plan;
}

const plans = [
  ...readdirSync(folder).map((file) => planOf(readFileSync(new URL(file, folder), "utf8"), file.endsWith(".json") ? "json" : "yaml")),
  planOf(rare, "yaml"),
];
const stepsOf = (block: Block): Step[] => block.steps.flatMap((step) => [step, ...blocksOf(step).flatMap((each) => stepsOf(each.block))]);
const everyStep = plans.flatMap((plan) => stepsOf(plan.body));

/** The step, with a name of its own in place of every value that is filled in and of every name that is always seen. */
function probed(step: Step): { step: Step; probes: string[] } {
  const probes: string[] = [];
  const probe = (): Json => ["name", probes[probes.push(`probe${probes.length}`) - 1]!];
  const isRoot = (value: Json[]): boolean => value[0] === "name" && ["input", "vars", "run", "env"].includes(value[1] as string);
  const replaced = (value: Json): Json => {
    if (Array.isArray(value)) return isRoot(value) ? probe() : value.map(replaced);
    if (!isObject(value)) return value;
    if (Object.keys(value).join() === "lit") return { expr: probe() };
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, replaced(member)]));
  };
  return { step: replaced(step as unknown as Json) as unknown as Step, probes };
}

test("what any field of any step reads is among what it reads of what encloses it", () => {
  const missed = everyStep.flatMap((original) => {
    const { step, probes } = probed(original);
    const { names } = freeRoots({ steps: [step] });
    return probes.filter((probe) => !names.includes(probe)).map((probe) => `${step.type} ${step.id}: ${contextOf(step, probe)}`);
  });
  expect(missed).toEqual([]);
});

test("the examples hold every type of step", () => {
  const types = "llm tool agent brief think call http activity set sequence switch parallel foreach loop workflow wait listen emit message";
  const missing = `${types} approval try raise end`.split(" ").filter((type) => !everyStep.some((step) => step.type === type));
  expect(missing).toEqual([]);
});

const contextOf = (step: Step, probe: string): string => {
  const text = JSON.stringify(step);
  const at = text.indexOf(`"${probe}"`);
  return text.slice(Math.max(0, at - 60), at + 20);
};
