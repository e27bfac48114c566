import { types } from "node:util";
import { Fault } from "../contracts/faults.ts";

/** Takes the secrets of this process out of what leaves it, wherever they come back from: a provider's error, a tool's result. */
export interface Redact {
  text(text: string): string;
  /** JSON. The very same value when there is nothing to take out. */
  value<Value>(value: Value): Value;
  /** The same error, with its message, stack, details and causes. */
  error(error: unknown): unknown;
}

/** Shorter ones stand in ordinary texts. */
const SECRET_LENGTH_MIN = 12;

const INSTEAD = "[secret]";
const CAUSES_MAX = 10;

/** Each as it is, and as URLs, JSON and base64 write it. */
export function createRedact(secrets: readonly string[]): Redact {
  const forms = [...new Set(secrets.filter((secret) => secret.length >= SECRET_LENGTH_MIN).flatMap(formsOf))];
  // What holds another goes first.
  const needles = forms.toSorted((a, b) => b.length - a.length);
  const text = (given: string): string =>
    needles.reduce((left, needle) => (left.includes(needle) ? left.replaceAll(needle, INSTEAD) : left), given);

  function value<Value>(given: Value): Value {
    const before = JSON.stringify(given) as string | undefined;
    if (before === undefined || !needles.some((needle) => before.includes(needle))) return given;
    return JSON.parse(text(before)) as Value;
  }

  function error(given: unknown, depth = 0): unknown {
    if (typeof given === "string") return text(given);
    if (!types.isNativeError(given) || depth > CAUSES_MAX) return given;
    const { details } = given as { details?: unknown };
    given.message = text(given.message);
    if (given.stack !== undefined) given.stack = text(given.stack);
    if (Array.isArray(details)) Object.assign(given, { details: value(details as unknown[]) });
    if (given instanceof Fault) Object.assign(given.problem, value(given.problem));
    if (given.cause !== undefined) given.cause = error(given.cause, depth + 1);
    return given;
  }

  return { text, value, error };
}

/** Where there are none. */
export const noSecrets = createRedact([]);

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const base64 = bytes.toString("base64").replace(/=+$/, "");
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), base64, bytes.toString("base64url")];
}
