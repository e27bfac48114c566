/** Plain text statistics for the `local` model: no dictionary of answers, only counting. */

export interface Sentence {
  text: string;
  words: string[];
  /** Place in the text. */
  index: number;
}

export function splitSentences(text: string): Sentence[] {
  return text
    .slice(0, TEXT_MAX)
    .split(/(?<=[.!?])\s+|\n+/)
    .map((part) => part.replace(/^\s*(?:[-*•]|\d+[.)])\s+/, "").trim())
    .filter((part) => /[\p{L}\p{N}]/u.test(part))
    .slice(0, SENTENCES_MAX)
    .map((part, index) => ({ text: part, words: contentWords(part), index }));
}

/** Lower-case stems without words that say nothing. */
export function contentWords(text: string): string[] {
  // camelCase and snake_case names of properties are words too.
  const spaced = text.replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2").replace(/_/g, " ");
  const words = spaced.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.filter((word) => !stopWords.has(word)).map(stem);
}

/** The sentences that say most, in the order of the text: frequent words count, long sentences pay for their length. */
export function summarise(sentences: Sentence[], count: number): Sentence[] {
  const frequency = countWords(sentences.flatMap((sentence) => sentence.words));
  const weight = ({ words, index }: Sentence): number => {
    const sum = [...new Set(words)].reduce((total, word) => total + (frequency.get(word) ?? 0), 0);
    // News and reports say the most important thing first.
    return (sum / Math.sqrt(words.length + 3)) * (index === 0 ? 1.3 : 1);
  };
  return best(sentences, count, weight).toSorted((a, b) => a.index - b.index);
}

/** How much of `words` stands in the text: each once, rare (long) words count more. */
export function overlap(words: string[], text: ReadonlySet<string>): number {
  return [...new Set(words)].reduce((score, word) => score + (hasWord(text, word) ? 1 + word.length / 20 : 0), 0);
}

/** The items with the highest weights; among equals the earlier ones. */
export function best<Item>(items: readonly Item[], count: number, weight: (item: Item) => number): Item[] {
  return items
    .map((item, index) => ({ item, index, weight: weight(item) }))
    .toSorted((a, b) => b.weight - a.weight || a.index - b.index)
    .slice(0, count)
    .map(({ item }) => item);
}

const TEXT_MAX = 200_000;
const SENTENCES_MAX = 2_000;

function countWords(words: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

const hasWord = (text: ReadonlySet<string>, word: string): boolean =>
  text.has(word) ||
  (word.length >= 5 && [...text].some((other) => other.length >= 4 && (other.startsWith(word) || word.startsWith(other))));

const stem = (word: string): string => (word.length > 4 ? word.replace(/(?:ings?|edly|ed|ies|es|s|ly)$/, "") : word);

const stopWords = new Set(
  (
    "a an the and or but of to in on at by for from with as is are was were be been it its this that these those i you he she we they me my your our their " +
    "has have had do does did will would can could should not no so if then than there here what which who please also into about"
  ).split(" "),
);
