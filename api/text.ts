import type { Json } from "../contracts/json.ts";

/** Deeper data would overflow the stack of whoever walks it recursively. */
const DEPTH_MAX = 128;

// Postgres cannot store NUL in text or jsonb; half of a surrogate pair has no UTF-8.
const unstorable = /\0|\p{Surrogate}/u;

export const isJsonText = (text: string): boolean => !unstorable.test(text);

/** The pointer of the first value that cannot be kept, and why; undefined for good data. */
export function unkeepable(root: Json): { pointer: string; message: string } | undefined {
  const open: { value: Json; pointer: string; depth: number }[] = [{ value: root, pointer: "", depth: 0 }];
  for (let entry = open.pop(); entry; entry = open.pop()) {
    const { value, pointer, depth } = entry;
    if (depth > DEPTH_MAX) return { pointer, message: `Nested more than ${DEPTH_MAX} deep.` };
    if (typeof value === "string" && !isJsonText(value)) return { pointer, message: "Text with NUL or half of a surrogate pair." };
    if (typeof value === "number" && !Number.isFinite(value)) return { pointer, message: "The number is out of range." };
    if (typeof value !== "object" || value === null) continue;
    for (const [key, member] of Object.entries(value)) {
      if (!isJsonText(key)) return { pointer, message: "A key with NUL or half of a surrogate pair." };
      open.push({ value: member, pointer: `${pointer}/${escapePointer(key)}`, depth: depth + 1 });
    }
  }
  return undefined;
}

const escapePointer = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

export const pointerOf = (path: readonly PropertyKey[]): string => path.map((part) => `/${escapePointer(String(part))}`).join("");
