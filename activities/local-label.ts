import type { Json } from "../contracts/json.ts";
import { cueWords, isNegated } from "./local-cues.ts";
import { labelled, type Place, type Source } from "./local-source.ts";
import { best, contentWords, overlap } from "./local-text.ts";

/** The labels of an enum, the one the text speaks for first. */
export function rankLabels(labels: readonly Json[], source: Source, place: Place): Json[] {
  const said = labelled(source, place.name)?.toLowerCase();
  return best(labels, labels.length, (label) => {
    const name = nameOf(label);
    const text = name.toLowerCase();
    const isSaid = said !== undefined && (said === text || said.startsWith(`${text} `) || said.startsWith(`${text}.`));
    return isSaid ? 1_000 : speaksFor(name, source) + (neutralLabels.has(text) ? 0.1 : 0);
  });
}

/** Labels of an enum that the text speaks for at all. */
export const supportedLabels = (labels: readonly Json[], source: Source): Json[] =>
  labels.filter((label) => speaksFor(nameOf(label), source) > 0);

/** Yes when the text speaks for what the place is named after. */
export function chooseBoolean(source: Source, place: Place): boolean {
  const said = labelled(source, place.name);
  if (said !== undefined && /^(yes|true|y|1|on)\b/i.test(said)) return true;
  if (said !== undefined && /^(no|false|n|0|off)\b/i.test(said)) return false;
  // "isUrgent", "needsReview": the verb says nothing.
  const topic = place.name.replace(/^(is|has|needs?|should|can|was|requires?)(?=[A-Z_])/, "");
  return speaksFor(topic, source) > 0;
}

/** How much the text says for a label, from 0 to 1. */
export const intensity = (label: string, source: Source): number => 1 - 1 / (1 + Math.max(0, speaksFor(label, source)) / 2);

function speaksFor(label: string, source: Source): number {
  const own = contentWords(label);
  const hints = cueWords(label);
  return source.sentences.reduce((score, sentence) => {
    const words = new Set(sentence.words);
    const weight = 2 * overlap(own, words) + overlap(hints, words);
    return score + (isNegated(sentence.text) && overlap(own, words) > 0 ? -weight : weight);
  }, 0);
}

// Chosen when the text speaks for none of the labels.
const neutralLabels = new Set(["other", "unknown", "neutral", "general", "none", "medium", "normal", "unclear", "mixed"]);

const nameOf = (label: Json): string => (typeof label === "string" ? label : JSON.stringify(label));
