import {
  CST,
  Composer,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
  type Document,
  type Pair,
  type ParsedNode,
  type YAMLParseError,
} from "yaml";
import type { DefinitionFormat } from "../contracts/definition.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Finding, Locator, Path, Position } from "./finding.ts";
import { foreignLexemes } from "./source-json.ts";
import { keyText, nodeValue, targetOf } from "./source-value.ts";

export type Source = { value: Json | undefined; findings: Finding[]; locator: Locator };

export type YamlDocument = Document.Parsed;

/** Read YAML or JSON text into a value and the position of everything in it. Never throws. */
export function readSource(text: string, format: DefinitionFormat): Source {
  const lines = new LineCounter();
  const bare: Locator = { positionOf: ({ offset }) => positionAt(lines, offset ?? 0) };
  const tooLarge = checkBytes(text);
  if (tooLarge) return { value: undefined, findings: [tooLarge], locator: bare };
  const content = text.startsWith("\uFEFF") ? text.slice(1) : text;
  const tokens = tokenize(content, format, lines);
  if (tokens.findings.length > 0) return { value: undefined, findings: tokens.findings, locator: bare };
  const [document, ...others] = compose(tokens.tokens, content);
  const findings = syntaxFindings(document, others, content, format);
  if (findings.length > 0 || !document) return { value: undefined, findings, locator: bare };
  return { ...nodeValue(document), locator: { positionOf: (finding) => positionOf(document, lines, finding) } };
}

function checkBytes(text: string): Finding | undefined {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes <= limits.definitionBytesMax) return undefined;
  const message = `The definition has ${bytes} bytes; at most ${limits.definitionBytesMax} are allowed. Split it into sub-workflows.`;
  return { code: "too_large", path: [], message };
}

// The composer recurses and V8 dies of 500 KB of "[": so depth and length are bounded on the flat token stream, before it.
const lexemesMax = 150_000;
const stackMax = 4 * limits.yamlDepthMax;

function tokenize(text: string, format: DefinitionFormat, lines: LineCounter): { tokens: CST.Token[]; findings: Finding[] } {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  const foreign = format === "json" ? foreignLexemes() : undefined;
  const refuse = (code: Finding["code"], message: string) => ({
    tokens: [],
    findings: [{ code, path: [], offset: parser.offset, message }],
  });
  lines.addNewLine(0);
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    foreign?.see(lexeme, parser.offset);
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > stackMax) return refuse("too_deep", `Values are nested more than ${limits.yamlDepthMax} levels deep here.`);
    if (++count > lexemesMax) return refuse("too_large", "The definition has too many parts; split it into sub-workflows.");
  }
  for (const token of parser.end()) tokens.push(token);
  return { tokens, findings: foreign?.findings ?? [] };
}

function compose(tokens: CST.Token[], text: string): YamlDocument[] {
  // `uniqueKeys` of the library compares every key with every other: a wide object would take seconds.
  const composer = new Composer({
    schema: "core",
    version: "1.2",
    merge: false,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "silent",
  });
  return [...composer.compose(tokens, true, text.length)];
}

function syntaxFindings(document: YamlDocument | undefined, others: YamlDocument[], text: string, format: DefinitionFormat): Finding[] {
  const all = document ? [document, ...others] : [];
  const findings = yamlErrors(
    all.flatMap((each) => each.errors),
    text,
  );
  for (const warning of document?.warnings ?? [])
    if (warning.code !== "TAG_RESOLVE_FAILED") findings.push(syntaxError(`${warning.message}.`, warning.pos[0]));
  if (others.length > 0)
    findings.push(syntaxError("There is more than one document; put one definition into one text.", others[0]!.range[0]));
  // What YAML says about broken JSON follows from the first error; JSON.parse has the better sentence for that one.
  if (format === "json") return jsonError(text, findings[0]);
  if (findings.length > 0) return findings;
  const isEmpty = !document?.contents || (isScalar(document.contents) && document.contents.value === null);
  return isEmpty ? [syntaxError(emptyText, 0)] : [];
}

// One slip makes a dozen errors, each token of the rest being unexpected: whoever mends the first ones sees what is left.
const syntaxErrorsMax = 3;

function yamlErrors(errors: YAMLParseError[], text: string): Finding[] {
  const expressions = errors.filter((error) => isBareExpression(error, text));
  const first = (expressions.length > 0 ? expressions : errors).toSorted((a, b) => a.pos[0] - b.pos[0]).slice(0, syntaxErrorsMax);
  return first.map((error) => syntaxError(sentenceOf(error, text), error.pos[0]));
}

function sentenceOf(error: YAMLParseError, text: string): string {
  if (isBareExpression(error, text)) return 'An expression inside { } or [ ] has no quotes; put the expression in quotes: "${…}".';
  if (error.code === "BLOCK_AS_IMPLICIT_KEY") return `${error.message}: text that holds ': ' needs quotes, or the indentation is off.`;
  return `${error.message}.`;
}

/** In { } and [ ] YAML takes the brace of a bare `${` for a map's; elsewhere it is text and no error. */
const isBareExpression = ({ pos: [offset] }: YAMLParseError, text: string): boolean => text.slice(offset - 1, offset + 1) === "${";

function jsonError(text: string, found: Finding | undefined): Finding[] {
  if (text.trim() === "") return [syntaxError(emptyText, 0)];
  try {
    JSON.parse(text);
    return found ? [found] : [];
  } catch (error) {
    const { message } = error as SyntaxError;
    const position = /position (\d+)/.exec(message)?.[1];
    return [syntaxError(`This is not valid JSON: ${message}.`, position === undefined ? (found?.offset ?? text.length) : Number(position))];
  }
}

const emptyText = "The definition is empty; it needs at least `name`, `version` and `steps`.";

const syntaxError = (message: string, offset: number): Finding => ({ code: "syntax", path: [], offset, message });

function positionOf(document: YamlDocument, lines: LineCounter, { path, atKey, offset }: Finding): Position | undefined {
  if (offset !== undefined) return positionAt(lines, offset);
  const found = findNode(document, path, atKey === true);
  return positionAt(lines, found);
}

/** Offset of the nearest node to a path: a missing field is shown at the object it is missing from. */
function findNode(document: YamlDocument, path: Path, atKey: boolean): number {
  let node: ParsedNode | null | undefined = document.contents;
  let offset = node?.range[0] ?? 0;
  for (const [depth, part] of path.entries()) {
    if (isAlias(node)) node = targetOf(node, document) as ParsedNode | undefined;
    const isLast = depth === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && keyText(key) === String(part)) as
        | Pair<ParsedNode, ParsedNode | null>
        | undefined;
      if (!pair) return offset;
      offset = (isLast && atKey) || !pair.value ? pair.key.range[0] : pair.value.range[0];
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)] as ParsedNode | undefined;
      if (!node) return offset;
      offset = node.range[0];
    } else return offset;
  }
  return offset;
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
