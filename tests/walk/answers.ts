import { makeProblem } from "../../contracts/faults.ts";
import type { ToolFields } from "../../contracts/activities.ts";
import type { Json } from "../../contracts/json.ts";
import type { Answer } from "./plain-port.ts";

/** The far end of random definitions: a number from the path, after a time from the path, so that no two steps end together. */
export function answerByPath(path: string, fields: unknown): Answer {
  const { tool, arguments: args } = fields as ToolFields;
  const afterMs = 1_000 + (hash(path) % 1_000_003);
  if (tool === "test.fail") return { ...boom, afterMs };
  const { n } = args as { n: Json };
  return { output: ((typeof n === "number" ? n : 0) * 31 + hash(path)) % 100, afterMs };
}

export const boom: Answer = { problem: makeProblem("tool", "boom") };

/** Fails at these paths, each time. */
export const fails =
  (...paths: string[]) =>
  (path: string): Answer =>
    paths.includes(path) ? boom : { output: path };

export function hash(text: string): number {
  let mixed = 2_166_136_261;
  for (const character of text) mixed = Math.imul(mixed ^ character.charCodeAt(0), 16_777_619) >>> 0;
  return mixed;
}
