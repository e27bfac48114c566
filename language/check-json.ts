import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { REFERENCE_KEY } from "../contracts/reference.ts";
import type { Finding, Path } from "./finding.ts";

/**
 * A copy of a value that is sure to be JSON we can store, and what had to be left out of it:
 * what JSON cannot carry, texts a database refuses, keys that are reserved.
 */
export function checkJson(value: unknown): { value: Json; findings: Finding[] } {
  const copying: Copying = { findings: [], left: valuesMax };
  const copy = copyOf(copying, value, []);
  return { value: copy, findings: copying.findings };
}

interface Copying {
  findings: Finding[];
  left: number;
}

// What 512 KB of JSON can hold at most. A value that refers to itself in several places would grow without it.
const valuesMax = 300_000;

function copyOf(copying: Copying, value: unknown, path: Path): Json {
  if (path.length > limits.yamlDepthMax || --copying.left < 0) return refuse(copying, path, copying.left < 0 ? "too_large" : "too_deep");
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return copyText(copying, value, path);
  // Minus zero is not kept by JSON.stringify: the same definition must give the same plan in every format.
  if (typeof value === "number" && Number.isFinite(value)) return value === 0 ? 0 : value;
  if (Array.isArray(value)) return Array.from(value, (item, index) => copyOf(copying, item, [...path, index]));
  if (typeof value === "object" && isPlain(value)) return copyMembers(copying, value, path);
  copying.findings.push({
    code: "wrong_value",
    path,
    message: `${String(typeof value)} ${typeof value === "number" ? value : ""}`.trim() + " is not a JSON value.",
  });
  return null;
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
};

function copyMembers(copying: Copying, value: object, path: Path): Json {
  const members: [string, Json][] = [];
  for (const [key, member] of Object.entries(value)) {
    const here = [...path, key];
    if (key === "__proto__" || key === REFERENCE_KEY) {
      copying.findings.push({
        code: "reserved_key",
        path: here,
        atKey: true,
        message: `The key \`${key}\` is reserved; use another name.`,
      });
    } else if (!isStorable(key)) copying.findings.push({ code: "text", path, message: textMessage("A key") });
    else if (member !== undefined) members.push([key, copyOf(copying, member, here)]);
  }
  return Object.fromEntries(members);
}

function copyText(copying: Copying, value: string, path: Path): string {
  if (!isStorable(value)) copying.findings.push({ code: "text", path, message: textMessage("The text") });
  return value;
}

const isStorable = (text: string): boolean => !/\0|\p{Surrogate}/u.test(text);
const textMessage = (what: string): string => `${what} holds a NUL character or half of a surrogate pair; remove it.`;

function refuse(copying: Copying, path: Path, code: "too_deep" | "too_large"): null {
  const message =
    code === "too_deep"
      ? `Values are nested more than ${limits.yamlDepthMax} levels deep here.`
      : "The definition has too many values; split it into sub-workflows.";
  // One is enough: everything below and after it is too deep or too large as well.
  if (!copying.findings.some((finding) => finding.code === code)) copying.findings.push({ code, path, message });
  return null;
}
