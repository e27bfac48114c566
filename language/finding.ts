import type { Json } from "../contracts/json.ts";
import type { DefinitionProblem, ProblemCode } from "../contracts/definition.ts";

/** Where a value stands in the definition. */
export type Path = readonly (string | number)[];

/** A problem before it has a line: found by path in the value, or by offset in the text. */
export interface Finding {
  code: ProblemCode;
  path: Path;
  /** The key at `path` is meant, not its value. */
  atKey?: boolean;
  offset?: number;
  message: string;
}

export interface Position {
  line: number;
  column: number;
}

/** What turns a finding into a position; definitions that did not come as text have none. */
export interface Locator {
  positionOf(finding: Finding): Position | undefined;
}

export const nowhere: Locator = { positionOf: () => undefined };

// A text of half a megabyte can hold a hundred thousand problems; nobody reads them, and the answer would not fit.
const problemsMax = 1_000;

/** Problems as the author sees them, in the order of the text, each once. */
export function toProblems(findings: Finding[], locator: Locator): DefinitionProblem[] {
  const problems = findings.slice(0, problemsMax).map((finding) => toProblem(finding, locator));
  const unique = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  return [...unique.values()].toSorted(byPosition);
}

/** `steps[0].cases[1].when`, `steps[2].arguments["x-y"]`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    if (!/^[A-Za-z_$][\w$]*$/.test(part)) return `${text}[${JSON.stringify(part)}]`;
    return text === "" ? part : `${text}.${part}`;
  }, "");
}

/** The value at a path; undefined where there is none. */
export function valueAt(root: Json, path: Path): Json | undefined {
  let value: unknown = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value as Json | undefined;
}

const toProblem = (finding: Finding, locator: Locator): DefinitionProblem => ({
  code: finding.code,
  path: pathText(finding.path),
  ...locator.positionOf(finding),
  message: finding.message,
});

const byPosition = (a: DefinitionProblem, b: DefinitionProblem): number =>
  (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
