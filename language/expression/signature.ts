import type { Kind } from "./values.ts";

/**
 * A function's signature, read from the text that stands in the table and in docs/expressions.md:
 * `slice(list: list<T>, start: number, end?: number): list<T>`.
 */
export interface Signature {
  name: string;
  parameters: Parameter[];
  /** Written as a parameter's type. */
  result: string;
  required: number;
}

export interface Parameter {
  name: string;
  /** Such as `string|list|map`, `list<number>`, `list<T>`, `any`. */
  type: string;
  isOptional: boolean;
  /** What a value must be; undefined = anything. */
  kinds: readonly Kind[] | undefined;
}

export function parseSignature(text: string): Signature {
  const open = text.indexOf("(");
  const close = text.lastIndexOf("): ");
  const parameters = text
    .slice(open + 1, close)
    .split(", ")
    .filter(Boolean)
    .map(parseParameter);
  const required = parameters.filter((parameter) => !parameter.isOptional).length;
  return { name: text.slice(0, open), parameters, result: text.slice(close + 3), required };
}

function parseParameter(text: string): Parameter {
  const [name, type] = text.split(": ") as [string, string];
  return { name: name.replace("?", ""), type, isOptional: name.endsWith("?"), kinds: kindsOf(type) };
}

function kindsOf(type: string): Kind[] | undefined {
  if (type === "any" || type === "T") return undefined;
  // The signatures are ours: their words are kinds, with the items of a list behind them.
  return type.split("|").map((word) => word.replace(/<.*>/, "") as Kind);
}
