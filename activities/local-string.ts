import type { JsonSchema } from "../contracts/json.ts";
import { fitsSchema } from "./local-schema.ts";
import { labelled, relevance, type Place, type Source } from "./local-source.ts";
import { best, summarise } from "./local-text.ts";

/** The words of the text that answer to a place, made to fit the schema's length, format and pattern. */
export function chooseString(schema: JsonSchema, source: Source, place: Place): string {
  const format = schema["format"];
  if (typeof format === "string" && Object.hasOwn(formats, format)) return formatted(formats[format]!, source, place);
  const text = labelled(source, place.name) ?? sentencesFor(source, place);
  const pattern = schema["pattern"];
  const matching = typeof pattern === "string" ? firstMatch(pattern, [text, ...tokensOf(source)]) : undefined;
  return fitLength(matching ?? text, schema, source);
}

interface Format {
  find: RegExp;
  /** When the text holds none: valid, and visibly nobody's. */
  absent: string;
}

const formats: Record<string, Format> = {
  date: { find: /\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b/g, absent: "1970-01-01" },
  "date-time": {
    find: /\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z/g,
    absent: "1970-01-01T00:00:00Z",
  },
  time: { find: /\b(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ/g, absent: "00:00:00Z" },
  email: { find: /\b[A-Za-z0-9][A-Za-z0-9._+-]{0,60}@[A-Za-z0-9][A-Za-z0-9-]{0,60}\.[A-Za-z]{2,20}\b/g, absent: "unknown@example.invalid" },
  uri: { find: /\bhttps?:\/\/[A-Za-z0-9][A-Za-z0-9./_-]{0,300}/g, absent: "urn:unknown" },
  uuid: {
    find: /\b[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b/gi,
    absent: "00000000-0000-4000-8000-000000000000",
  },
  ipv4: { find: /\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b/g, absent: "0.0.0.0" },
};

function formatted(format: Format, source: Source, place: Place): string {
  const found = source.text.match(format.find) ?? [];
  return found[Math.min(place.ordinal, found.length - 1)] ?? format.absent;
}

function sentencesFor(source: Source, place: Place): string {
  if (source.sentences.length === 0) return source.text.trim();
  if (/summary|abstract|overview|tl_?dr/i.test(place.name)) {
    // What tools gave as data says little to people.
    const said = source.sentences.filter(({ text }) => !text.startsWith("{"));
    return summarise(said.length > 0 ? said : source.sentences, 3)
      .map(({ text }) => text)
      .join(" ");
  }
  // No sentence answers to the name: those that say most, each place in a list another one.
  const important = summarise(source.sentences, source.sentences.length);
  const rank = new Map(
    best(important, important.length, ({ words }) => words.length).map((sentence, index) => [sentence, -index / 10_000]),
  );
  const ranked = best(source.sentences, place.ordinal + 1, (sentence) => relevance(sentence, place) + (rank.get(sentence) ?? 0));
  return ranked.at(-1)!.text;
}

/** `minLength` and `maxLength` count characters, not UTF-16 units. */
function fitLength(text: string, schema: JsonSchema, source: Source): string {
  const low = Math.min(typeof schema["minLength"] === "number" ? schema["minLength"] : 0, PADDING_MAX);
  const high = typeof schema["maxLength"] === "number" ? schema["maxLength"] : STRING_LENGTH_MAX;
  let characters = [...text];
  if (characters.length > high) characters = [...characters.slice(0, Math.max(0, high - 1)), ...(high > 0 ? ["…"] : [])];
  const filler = [...`${characters.length > 0 ? " " : ""}${source.text.trim() || "."} `];
  while (characters.length < low) characters.push(...filler.slice(0, low - characters.length));
  return characters.join("");
}

const STRING_LENGTH_MAX = 4_000;
const PADDING_MAX = 100_000;

const tokensOf = (source: Source): string[] =>
  source.text
    .slice(0, 20_000)
    .split(/[\s,;()"']+/)
    .filter((token) => token.length > 0 && token.length <= 64);

// The validator matches in linear time; JavaScript's own matcher can take exponential time.
const firstMatch = (pattern: string, candidates: string[]): string | undefined =>
  candidates.slice(0, CANDIDATES_MAX).find((candidate) => fitsSchema({ type: "string", pattern }, candidate));

const CANDIDATES_MAX = 500;
