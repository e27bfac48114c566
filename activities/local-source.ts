import { contentWords, overlap, splitSentences, type Sentence } from "./local-text.ts";

/** What a value is filled from: the text, or one sentence of it for the items of a list. */
export interface Source {
  text: string;
  sentences: Sentence[];
  words: ReadonlySet<string>;
  instruction: string;
}

/** Where a value stands: what its name and description ask for, and which of its list it is. */
export interface Place {
  name: string;
  /** Stems of the name and the description. */
  asked: string[];
  ordinal: number;
}

export function createSource(text: string, instruction: string): Source {
  const sentences = splitSentences(text);
  return { text, sentences, words: new Set(sentences.flatMap((sentence) => sentence.words)), instruction };
}

export const createPlace = (name: string, description: unknown, ordinal = 0): Place => ({
  name,
  asked: contentWords(`${name} ${typeof description === "string" ? description : ""}`),
  ordinal,
});

/** What stands behind "name:" or "name =" in the text: forms and mails say most things this way. */
export function labelled(source: Source, name: string): string | undefined {
  const words = name.replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2").match(/[\p{L}\p{N}]+/gu) ?? [];
  if (words.length === 0 || words.length > 6) return undefined;
  const label = new RegExp(`(?:^|[^\\p{L}\\p{N}])${words.join("[\\s_-]*")}\\s*[:=]\\s*([^\\n;]{1,200})`, "iu");
  const found = label.exec(source.text)?.[1]?.trim();
  return found === "" ? undefined : found;
}

/** How well a sentence answers to a place. */
export const relevance = (sentence: Sentence, place: Place): number => overlap(place.asked, new Set(sentence.words));
