import type { z } from "zod";
import { LITERAL_REQUIRED } from "../contracts/definition-fields.schema.ts";
import type { ProblemCode } from "../contracts/definition.ts";
import { STEP_ID_PATTERN } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import type { Finding, Path } from "./finding.ts";
import { nearest } from "../contracts/nearest.ts";

export type Issue = z.core.$ZodIssue;

/** A union's issue, or those of the one alternative the author meant. */
export function flatten(issue: Issue): Issue[] {
  if (issue.code !== "invalid_union" || issue.discriminator !== undefined) return [issue];
  const meant = issue.errors.find((option) => option.every((inner) => inner.path.length > 0 || inner.code !== "invalid_type"));
  if (!meant) return [issue];
  return meant.flatMap((inner) => flatten({ ...inner, path: [...issue.path, ...inner.path] } as Issue));
}

/** One zod issue as a sentence: which field, what was found, what to do. */
export function sentenceFor(issue: Issue, found: Json | undefined, stepTypes: Iterable<string>): Finding {
  const path = issue.path as Path;
  const field = fieldName(path);
  const give = (code: ProblemCode, message: string): Finding => ({ code, path, message });
  if (issue.code === "invalid_key") return { ...give("wrong_value", nameRule(String(path.at(-1)))), atKey: true };
  if (found === undefined) return give("missing_field", `${field} is missing; add it.`);
  if (isLiteralRequired(issue, found))
    return give("literal_required", `${field} must be a fixed value; an expression is not allowed here.`);
  switch (issue.code) {
    case "invalid_type":
      return give(
        "wrong_type",
        `${field} must be ${expectedName(issue.expected)}, found ${describe(found)}.${hintFor(issue.expected, found)}`,
      );
    case "invalid_union":
      if (issue.discriminator !== undefined && path.at(-3) !== "guardrails") return give(...unknownType(found, stepTypes));
      return give("wrong_type", `${field} must be ${issue.message}, found ${describe(found)}.`);
    case "invalid_value":
      return give("wrong_value", `${field} is ${describe(found)}; ${oneOf(found, issue.values)}`);
    case "too_small":
      return give(
        "wrong_value",
        `${field} is too small: at least ${issue.minimum}${unit(issue.origin, issue.minimum)}, found ${sizeOf(found)}.`,
      );
    case "too_big":
      return give(
        "wrong_value",
        `${field} is too large: at most ${issue.maximum}${unit(issue.origin, issue.maximum)}, found ${sizeOf(found)}.`,
      );
    case "invalid_format":
      return give("wrong_value", formatRule(field, issue, found));
    default:
      return give("wrong_value", `${field}: ${issue.message}.`);
  }
}

function isLiteralRequired(issue: Issue, found: Json): boolean {
  if (issue.code === "custom" && issue.message === LITERAL_REQUIRED) return true;
  if (typeof found !== "string" || !found.includes("${")) return false;
  const wantsNumber = issue.code === "invalid_type" && ["number", "int", "boolean", "array", "record", "object"].includes(issue.expected);
  return wantsNumber || issue.code === "invalid_value" || issue.code === "invalid_format";
}

/** The words of the author: `retry.backoff`, `item 2 of needs`. */
function fieldName(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return "The definition";
  if (typeof last === "string") return `\`${last}\``;
  return `Item ${last + 1} of ${fieldName(path.slice(0, -1))}`;
}

const expectedNames: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

const expectedName = (expected: string): string => expectedNames[expected] ?? expected;

function hintFor(expected: string, found: Json): string {
  if (expected === "string" && (typeof found === "number" || typeof found === "boolean")) return " Put it into quotes.";
  if (expected === "array" && typeof found === "object" && found !== null) return " Begin each item with `-`, or put it into brackets.";
  return "";
}

function unknownType(found: Json, stepTypes: Iterable<string>): [ProblemCode, string] {
  if (typeof found !== "string") return ["wrong_type", `\`type\` must be text, found ${describe(found)}.`];
  const near = nearest(found, stepTypes);
  return ["unknown_type", `There is no step type \`${found}\`. ${near ? `Did you mean \`${near}\`?` : `Known are ${list(stepTypes)}.`}`];
}

function oneOf(found: Json, values: readonly unknown[]): string {
  const names = values.map(String);
  const near = typeof found === "string" ? nearest(found, names) : undefined;
  return near ? `did you mean \`${near}\`?` : `it must be one of ${list(names)}.`;
}

const list = (names: Iterable<string>): string => [...names].map((name) => `\`${name}\``).join(", ");

function unit(origin: string, count: number | bigint): string {
  const word = origin === "array" ? " item" : origin === "string" ? " character" : "";
  return word === "" || Number(count) === 1 ? word : `${word}s`;
}

function sizeOf(found: Json): string {
  if (Array.isArray(found) || typeof found === "string") return String(found.length);
  return typeof found === "number" ? String(found) : describe(found);
}

function formatRule(field: string, issue: Issue & { code: "invalid_format" }, found: Json): string {
  if (issue.pattern === String(new RegExp(STEP_ID_PATTERN))) return nameRule(typeof found === "string" ? found : describe(found));
  if (field === "`version`") return `${field} is ${describe(found)}; write a semantic version such as 1.0.0.`;
  return `${field} is ${describe(found)}; use letters, digits, \`.\`, \`_\` and \`-\`, beginning with a letter or digit.`;
}

const nameRule = (found: string): string =>
  `\`${found}\` is not a name; use letters, digits and \`_\`, not beginning with a digit, at most 64 characters.`;

function describe(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  if (typeof value === "string") return `the text ${JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)}`;
  return `${typeof value === "number" ? "the number " : ""}${String(value)}`;
}
