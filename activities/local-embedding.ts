import { contentWords } from "./local-text.ts";

const DIMENSIONS = 256;

/** Words counted into buckets, at length 1: texts that share words lie near each other. Nothing of their meaning. */
export function embedText(text: string): number[] {
  const vector = Array.from({ length: DIMENSIONS }, () => 0);
  for (const word of contentWords(text)) vector[bucketOf(word)]! += 1;
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** FNV-1a: the same in every process. */
function bucketOf(word: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < word.length; index++) hash = Math.imul(hash ^ word.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % DIMENSIONS;
}
