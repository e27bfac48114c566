import { CST } from "yaml";
import type { Finding } from "./finding.ts";

/** Watches the tokens of a text that claims to be JSON for everything that only YAML knows. */
export function foreignLexemes(): { findings: Finding[]; see(lexeme: string, offset: number): void } {
  const findings: Finding[] = [];
  let previous: string | null = null;
  const see = (lexeme: string, offset: number): void => {
    const type = previous === "scalar" ? null : CST.tokenType(lexeme);
    const message = messageFor(type, lexeme, previous);
    if (message) findings.push({ code: "syntax", path: [], offset, message });
    if (type !== "space" && type !== "newline") previous = type;
  };
  return { findings, see };
}

const messages: Readonly<Record<string, string>> = {
  comment: "JSON has no comments; remove it, or send the definition as YAML.",
  "single-quoted-scalar": "JSON wants double quotes.",
  anchor: "JSON has no anchors.",
  alias: "JSON has no aliases.",
  tag: "JSON has no tags.",
  "explicit-key-ind": "JSON does not allow `?` here.",
  "seq-item-ind": "JSON does not allow `-` here; write lists in brackets.",
  "block-scalar-header": "JSON has no block texts.",
  "directive-line": "JSON has no directives.",
  "doc-start": "JSON does not allow `---`.",
  "doc-end": "JSON does not allow `...`.",
};

const literal = /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)$/;

function messageFor(type: string | null, lexeme: string, previous: string | null): string | undefined {
  // The lexer announces a plain scalar by a mark, then gives its text.
  if (previous === "scalar" && /^\/[/*]/.test(lexeme)) return messages["comment"];
  if (previous === "scalar")
    return literal.test(lexeme) ? undefined : `JSON does not allow ${quote(lexeme)} here; put text into double quotes.`;
  if (previous === "comma" && (type === "flow-map-end" || type === "flow-seq-end"))
    return "JSON does not allow a comma before a closing bracket; remove it.";
  return type === null ? undefined : messages[type];
}

const quote = (lexeme: string): string => JSON.stringify(lexeme.length > 40 ? `${lexeme.slice(0, 40)}…` : lexeme);
