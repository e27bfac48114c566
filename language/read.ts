import type { DefinitionFormat, DefinitionProblem, ProblemCode } from "../contracts/definition.ts";
import type { Definition } from "../contracts/definition.schema.ts";
import { canonicalJson, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { checkDefinition } from "./check.ts";
import { checkJson } from "./check-json.ts";
import { checkShape } from "./check-shape.ts";
import { compile } from "./compile.ts";
import { nowhere, toProblems, type Finding, type Locator } from "./finding.ts";
import type { Plan } from "./plan.ts";
import { readSource } from "./source.ts";

export type ReadResult = { ok: true; definition: Definition; plan: Plan } | { ok: false; problems: DefinitionProblem[] };

export interface ReadOptions {
  /** sha-256 of a text, hex. Passed in: this room does no cryptography of its own. */
  hashOf(text: string): string;
}

/**
 * Read a definition: text to a checked, compiled Plan, or everything that is wrong with it at once, in the order of the text.
 * Only syntax errors come alone: without a value there is nothing more to check. Never throws, whatever the text.
 */
export function readDefinition(text: string, format: DefinitionFormat, options: ReadOptions): ReadResult {
  const source = readSource(text, format);
  if (source.value === undefined) return refused(source.findings, source.locator);
  return readValue(source.value, source.findings, source.locator, options);
}

/** The same for a definition that is already a value; its problems have no lines. */
export const readDefinitionValue = (value: unknown, options: ReadOptions): ReadResult => readValue(value, [], nowhere, options);

function readValue(raw: unknown, before: Finding[], locator: Locator, options: ReadOptions): ReadResult {
  const { value, findings } = checkJson(raw);
  const sofar = [...before, ...findings, ...checkSize(value, findings)];
  if (sofar.some(({ code }) => unreadable.has(code))) return refused(sofar, locator);
  const shape = checkShape(value);
  const all = [...sofar, ...shape.findings, ...(shape.definition ? checkDefinition(shape.definition, shape.damage) : [])];
  if (all.length > 0 || !shape.definition) return refused(all, locator);
  const plan = compile(shape.definition, options.hashOf(canonicalJson(value)));
  const tooLarge = checkPlanSize(plan);
  return tooLarge ? refused([tooLarge], locator) : { ok: true, definition: shape.definition, plan };
}

/** After these a part of the value is missing: whatever else seems wrong may follow from it. */
const unreadable: ReadonlySet<ProblemCode> = new Set(["too_deep", "too_large", "alias"]);

const refused = (findings: Finding[], locator: Locator): ReadResult => ({ ok: false, problems: toProblems(findings, locator) });

/** Aliases and values from code can be larger than the text was. */
function checkSize(value: Json, earlier: Finding[]): Finding[] {
  if (earlier.some(({ code }) => code === "too_large")) return [];
  const bytes = bytesOf(value);
  if (bytes <= limits.definitionBytesMax) return [];
  return [
    {
      code: "too_large",
      path: [],
      message: `The definition has ${bytes} bytes as JSON; at most ${limits.definitionBytesMax} are allowed. Split it into sub-workflows.`,
    },
  ];
}

function checkPlanSize(plan: Plan): Finding | undefined {
  const bytes = bytesOf(plan as unknown as Json);
  if (bytes <= limits.planBytesMax) return undefined;
  return {
    code: "too_large",
    path: [],
    message: `The compiled plan has ${bytes} bytes; at most ${limits.planBytesMax} are allowed. Split the definition into sub-workflows.`,
  };
}

const bytesOf = (value: Json): number => new TextEncoder().encode(JSON.stringify(value)).length;
