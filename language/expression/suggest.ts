import { nearest } from "../../contracts/nearest.ts";

/** ` Did you mean …?`, or nothing when no known name is near. */
export function suggestion(name: string, known: Iterable<string>): string {
  const best = nearest(name, known);
  return best === undefined ? "" : ` Did you mean \`${best}\`?`;
}
