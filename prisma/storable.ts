import type { Json } from "../contracts/json.ts";

// Postgres stores neither NUL nor half of a surrogate pair; JSON.stringify escapes both. Pairs of backslashes are
// stepped over, so that an escaped backslash before "u0000" stays what it is.
const unstorable = /\\(?:\\|u0000|ud[89a-f][0-9a-f]{2})/g;

/** JSON that Postgres takes: what it cannot store has become U+FFFD, the sign for what cannot be shown. */
export const jsonbText = (value: unknown): string => cleaned(JSON.stringify(value));

/** A text or a value that Postgres takes; the same when nothing is wrong with it. */
export function storable<Value extends Json>(value: Value): Value {
  const text = JSON.stringify(value);
  const clean = cleaned(text);
  return clean === text ? value : (JSON.parse(clean) as Value);
}

const cleaned = (text: string): string => text.replace(unstorable, (match) => (match === "\\\\" ? match : "\\ufffd"));
