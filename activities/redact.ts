import { types } from "node:util";
import { Fault } from "../contracts/faults.ts";

/** Takes the secrets of this process out of what leaves it, wherever they come back from: a provider's error, a tool's result. */
export interface Redact {
  text(text: string): string;
  /** JSON. The very same value when there is nothing to take out. */
  value<Value>(value: Value): Value;
  /** A text that comes in pieces: each call gives what may be shown by now, without a piece the rest. */
  inPieces(): (piece?: string) => string;
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

  // Value by value, not in its JSON: a number, and quotes in a secret, would make something else of that.
  function walked(given: unknown): unknown {
    if (typeof given === "string") return text(given);
    if (typeof given === "number") return text(String(given)) === String(given) ? given : INSTEAD;
    if (typeof given !== "object" || given === null) return given;
    const entries = Object.entries(given);
    const changed = entries.map(([key, item]) => [text(key), walked(item)] as const);
    if (changed.every(([key, item], index) => key === entries[index]![0] && item === entries[index]![1])) return given;
    return Array.isArray(given) ? changed.map(([, item]) => item) : Object.fromEntries(changed);
  }

  const value = <Value>(given: Value): Value => (needles.length === 0 ? given : (walked(given) as Value));

  function inPieces(): (piece?: string) => string {
    let held = "";
    return (piece) => {
      const all = text(held + (piece ?? ""));
      held = piece === undefined ? "" : beginningAtEnd(all, needles);
      return all.slice(0, all.length - held.length);
    };
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

  return { text, value, inPieces, error };
}

/** The longest end of a text with which a needle begins: what comes next may be the rest of it. */
function beginningAtEnd(text: string, needles: readonly string[]): string {
  const longest = Math.min(text.length, (needles[0]?.length ?? 1) - 1);
  for (let length = longest; length > 0; length--) {
    const end = text.slice(-length);
    if (needles.some((needle) => needle.startsWith(end))) return end;
  }
  return "";
}

/** Where there are none. */
export const noSecrets = createRedact([]);

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const base64 = bytes.toString("base64").replace(/=+$/, "");
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), base64, bytes.toString("base64url")];
}
