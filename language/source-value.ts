import { isAlias, isMap, isScalar, isSeq, visit, type Alias, type Document, type Pair, type YAMLMap } from "yaml";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Finding, Path } from "./finding.ts";

/** The plain value of a parsed document, with everything that JSON cannot carry named. */
export function nodeValue(document: Document.Parsed): { value: Json | undefined; findings: Finding[] } {
  const reading: Reading = { document, findings: [], open: new Set(), aliases: 0, expanded: 0 };
  const value = valueOf(reading, document.contents, []);
  return { value, findings: reading.findings };
}

interface Reading {
  document: Document.Parsed;
  findings: Finding[];
  /** Nodes we are inside of: an alias to one of them refers to itself. */
  open: Set<unknown>;
  aliases: number;
  /** Nodes read through aliases: a few aliases of aliases can stand for millions. */
  expanded: number;
}

const expandedMax = 10_000;
const coreTags = new Set(["null", "bool", "int", "float", "str", "seq", "map"].map((name) => `tag:yaml.org,2002:${name}`));

function valueOf(reading: Reading, node: unknown, path: Path): Json {
  if (isAlias(node)) return aliasValue(reading, node, path);
  if (reading.aliases > 0 && insideAlias(reading) && ++reading.expanded > expandedMax) return null;
  if (path.length > limits.yamlDepthMax) return tooDeep(reading, path);
  if (!hasKnownTag(reading, node, path)) return null;
  if (isScalar(node)) return scalarValue(reading, node.value, path);
  reading.open.add(node);
  const value = isMap(node)
    ? mapValue(reading, node, path)
    : isSeq(node)
      ? node.items.map((item, index) => valueOf(reading, item, [...path, index]))
      : null;
  reading.open.delete(node);
  return value;
}

function aliasValue(reading: Reading, alias: Alias, path: Path): Json {
  const add = (message: string): null => (reading.findings.push({ code: "alias", path, message }), null);
  reading.aliases++;
  if (reading.aliases === limits.yamlAliasesMax + 1)
    return add(`There are more than ${limits.yamlAliasesMax} aliases; write the values out.`);
  if (reading.aliases > limits.yamlAliasesMax) return null;
  const target = targetOf(alias, reading.document);
  if (!target) return add(`There is no anchor &${alias.source} before this alias.`);
  if (reading.open.has(target)) return add(`The alias *${alias.source} refers to a value it is part of.`);
  reading.open.add(alias);
  const value = valueOf(reading, target, path);
  reading.open.delete(alias);
  if (reading.expanded > expandedMax && !insideAlias(reading)) return add("Aliases expand to too many values; write fewer of them.");
  return value;
}

/** What an alias stands for: the last anchor of its name before it. */
export function targetOf(alias: Alias, document: Document.Parsed): unknown {
  const known = targets.get(document) ?? findTargets(document);
  targets.set(document, known);
  return known.get(alias);
}

// `alias.resolve` of the library walks the whole document for each alias.
const targets = new WeakMap<Document.Parsed, Map<Alias, unknown>>();

function findTargets(document: Document.Parsed): Map<Alias, unknown> {
  const anchors = new Map<string, unknown>();
  const found = new Map<Alias, unknown>();
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) found.set(node, anchors.get(node.source));
      else if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return found;
}

const insideAlias = (reading: Reading): boolean => [...reading.open].some((node) => isAlias(node));

function tooDeep(reading: Reading, path: Path): null {
  reading.findings.push({ code: "too_deep", path, message: `Values are nested more than ${limits.yamlDepthMax} levels deep here.` });
  return null;
}

function hasKnownTag(reading: Reading, node: unknown, path: Path): boolean {
  const tag = (node as { tag?: string } | null)?.tag;
  if (tag === undefined || coreTags.has(tag)) return true;
  reading.findings.push({
    code: "tag",
    path,
    message: `The tag ${tag.replace("tag:yaml.org,2002:", "!!")} is not allowed; write a plain value.`,
  });
  return false;
}

function scalarValue(reading: Reading, value: unknown, path: Path): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  reading.findings.push({
    code: "wrong_value",
    path,
    message: `${typeof value === "number" || typeof value === "bigint" ? value.toString() : `A ${typeof value}`} is not a JSON value; use a finite number, text, true, false or null.`,
  });
  return null;
}

function mapValue(reading: Reading, map: YAMLMap, path: Path): Json {
  const members = new Map<string, Json>();
  for (const pair of map.items as Pair[]) {
    if (!isScalar(pair.key) || pair.key.value === null) {
      reading.findings.push({ code: "wrong_type", path, message: "A key of this object is not a text; write keys as plain text." });
      continue;
    }
    const key = keyText(pair.key);
    if (members.has(key))
      reading.findings.push({
        code: "duplicate_key",
        path: [...path, key],
        offset: pair.key.range?.[0] ?? 0,
        message: `The key \`${key}\` stands twice; keep one of them.`,
      });
    else members.set(key, valueOf(reading, pair.value, [...path, key]));
  }
  // fromEntries makes own properties of every key, `__proto__` too: it is refused by name later.
  return Object.fromEntries(members);
}

/** Keys are text: a number or `true` as a key is what the author typed. */
export const keyText = (key: { value: unknown; source?: string }): string =>
  typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
