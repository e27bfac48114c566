import type { RunEvent } from "../contracts/events.ts";
import { limits } from "../contracts/limits.ts";

/** Of an append: what it tells. */
export const logSummary = (events: readonly RunEvent[]): string =>
  `run log: ${events
    .slice(0, 8)
    .map(({ type, step }) => (step === undefined ? type : `${type} ${step}`))
    .join(", ")}${events.length > 8 ? ` and ${events.length - 8} more` : ""}`;

/** What the Temporal Web UI shows beside an event. Cut, since the server refuses what is longer, at every try. */
export const summaryText = (text: string): string =>
  // Counted in bytes by the server; four per character is the most UTF-8 needs.
  text.length <= limits.summaryBytesMax / 4 ? text : clipped(text);

function clipped(text: string): string {
  let bytes = 0;
  for (const [index, character] of [...text].entries()) {
    bytes += utf8Length(character.codePointAt(0)!);
    if (bytes > limits.summaryBytesMax - 3) return `${[...text].slice(0, index).join("")}…`;
  }
  return text;
}

const utf8Length = (code: number): number => (code < 0x80 ? 1 : code < 0x8_00 ? 2 : code < 0x1_00_00 ? 3 : 4);
