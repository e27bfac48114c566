import { Fault } from "../contracts/faults.ts";
import type { Scope } from "./builder-scope.ts";

declare const value: unique symbol;

/** Whatever stands for a value of type V in a run. Exists for the compiler only. */
export interface Mark<V> {
  readonly [value]: V;
}

/**
 * A typed path to a value that a run will have. Fields are read like those of the value: a wrong one does not compile.
 * A reference whose type nobody knows is `Ref<never>`: every field may be read, and it fits everywhere.
 */
export type Ref<V> = Mark<V> &
  ([V] extends [never] ? AnyFields : unknown extends V ? AnyFields : Fields<NonNullable<V>, Extract<V, null | undefined>>);

interface AnyFields {
  // oxlint-disable-next-line typescript/no-explicit-any -- the one seam: with `Ref<never>` every field would be `| undefined` under noUncheckedIndexedAccess
  readonly [field: string]: any;
}

// A field of something that may be null may be null.
type Fields<V, Nothing> = V extends readonly (infer Item)[]
  ? { readonly [index: number]: Ref<Item | Nothing> }
  : V extends object
    ? { readonly [Key in keyof V]-?: Ref<V[Key] | Nothing> }
    : unknown;

type Primitive = string | number | boolean | null | undefined;

/** Where a T is wanted: a reference to one, or a T that may hold references inside. */
export type Value<T> = unknown extends T
  ? unknown
  :
      | Mark<T>
      | (T extends Primitive
          ? T
          : T extends readonly (infer Item)[]
            ? readonly Value<Item>[]
            : { readonly [Key in keyof T]: Value<T[Key]> });

/** The value a tree with references stands for. What is not returned has no known type. */
export type Output<R> = 0 extends 1 & R
  ? never
  : R extends Mark<infer V>
    ? V
    : R extends null | string | number | boolean
      ? R
      : R extends readonly (infer Item)[]
        ? Output<Item>[]
        : R extends object
          ? { -readonly [Key in keyof R]: Output<R[Key]> }
          : never;

/** A name that a scope brings in, such as `steps.classify`, `input` or `item`. */
interface Origin {
  scope: Scope;
  name: string;
}

interface Meaning {
  kind: "expression" | "text";
  /** CEL, or the text with its `${…}`. */
  source: string;
  /** Whether `.field` may follow without parentheses. */
  isPath: boolean;
  origins: readonly Origin[];
  /** Set when this is the whole output of a step. */
  step?: string;
}

const meanings = new WeakMap<object, Meaning>();

export const meaningOf = (ref: unknown): Meaning | undefined => (typeof ref === "function" ? meanings.get(ref) : undefined);

export const refuse = (sentence: string): never => {
  throw new Fault("definition_invalid", sentence);
};

export const nameRef = <V>(scope: Scope, name: string): Ref<V> =>
  makeRef({ kind: "expression", source: name, isPath: true, origins: [{ scope, name }] });

export const stepRef = <V>(scope: Scope, id: string): Ref<V> =>
  makeRef({ kind: "expression", source: `steps.${id}.output`, isPath: true, origins: [{ scope, name: `steps.${id}` }], step: id });

function makeRef<V>(meaning: Meaning): Ref<V> {
  // An arrow function has no property that a proxy would have to show as it is, and can be caught when it is called.
  const ref = new Proxy(() => undefined, trapsOf(meaning));
  meanings.set(ref, meaning);
  return ref as unknown as Ref<V>;
}

const conversions = new Set(["toString", "valueOf", "toLocaleString", "toJSON"]);

/** Everything but reading a field asks for a value that does not exist yet: better an error here than "[object]" in a prompt. */
function trapsOf(meaning: Meaning): ProxyHandler<() => undefined> {
  const misused = (): never =>
    refuse(
      `\`${meaning.source}\` is a reference: it has no value before a run reaches it. ` +
        "Compute with it inside cel`…`, write it into a text with t`…`, or pass it on as it is.",
    );
  return {
    get(_, key) {
      if (key === Symbol.toPrimitive || conversions.has(key as string)) return misused;
      if (key === Symbol.iterator || key === Symbol.asyncIterator || key === "then") return misused();
      return typeof key === "symbol" ? undefined : fieldOf(meaning, key);
    },
    apply: misused,
    construct: misused,
    has: misused,
    ownKeys: misused,
    set: misused,
    defineProperty: misused,
    deleteProperty: misused,
  };
}

function fieldOf(meaning: Meaning, field: string): Ref<never> {
  if (meaning.kind === "text") return refuse(`A text has no field \`${field}\`; it was made by t\`…\` from "${meaning.source}".`);
  return makeRef({ kind: "expression", source: embedded(meaning) + access(field), isPath: true, origins: meaning.origins });
}

/** Words that CEL keeps for itself: `a.in` is not a field there, `a["in"]` is. */
const reserved = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(" "),
);

function access(field: string): string {
  if (/^(0|[1-9]\d*)$/.test(field)) return `[${field}]`;
  return /^[A-Za-z_]\w*$/.test(field) && !reserved.has(field) ? `.${field}` : `[${JSON.stringify(field)}]`;
}

const embedded = ({ isPath, source }: Meaning): string => (isPath ? source : `(${source})`);

/** A CEL expression: cel`${verdict.risk} > 0.7 && ${doc.pages} < 10`. Say what it gives where that matters: cel<boolean>`…`. */
export function cel<T = never>(parts: TemplateStringsArray, ...holes: unknown[]): Ref<T> {
  // Raw: escapes in the text are CEL's to read.
  const source = parts.raw.map((part, index) => part + (index < holes.length ? celOf(holes[index]) : "")).join("");
  return makeRef({ kind: "expression", source: source.trim(), isPath: false, origins: originsOf(holes) });
}

/** A text with values in it: t`Assess the risk of: ${doc.text}`. A single value and nothing else keeps its type. */
export function t(parts: TemplateStringsArray, ...holes: unknown[]): Ref<string> {
  const source = parts.map((part, index) => escapeText(part) + (index < holes.length ? textOf(holes[index]) : "")).join("");
  return makeRef({ kind: "text", source, isPath: false, origins: originsOf(holes) });
}

const originsOf = (holes: unknown[]): Origin[] => holes.flatMap((hole) => [...(meaningOf(hole)?.origins ?? [])]);

/** `${` in a text of the author is a text, never an expression. */
export const escapeText = (text: string): string => text.replaceAll("${", "$$${");

function textOf(hole: unknown): string {
  const meaning = meaningOf(hole);
  if (meaning) return meaning.kind === "text" ? meaning.source : `\${${meaning.source}}`;
  if (typeof hole === "string" || typeof hole === "number" || typeof hole === "boolean") return escapeText(String(hole));
  return refuse(`t\`…\` takes references, texts, numbers and booleans, not ${kindOf(hole)}.`);
}

function celOf(hole: unknown): string {
  const meaning = meaningOf(hole);
  if (meaning?.kind === "text") return refuse("A t`…` text cannot stand inside cel`…`; join texts with + there.");
  if (meaning) return embedded(meaning);
  if (Array.isArray(hole)) return `[${hole.map(celOf).join(", ")}]`;
  if (hole !== null && typeof hole === "object")
    return `{${Object.entries(hole)
      .map(([key, member]) => `${JSON.stringify(key)}: ${celOf(member)}`)
      .join(", ")}}`;
  if (hole === null || typeof hole === "string" || typeof hole === "boolean" || Number.isFinite(hole)) return JSON.stringify(hole);
  return refuse(`cel\`…\` takes references and JSON values, not ${kindOf(hole)}.`);
}

export const kindOf = (thing: unknown): string =>
  typeof thing === "object" && thing !== null
    ? (thing.constructor?.name ?? "an object")
    : typeof thing === "number"
      ? String(thing)
      : typeof thing;

/** How a step ended: `completed`, `skipped`, … */
export const statusOf = (step: Mark<unknown>): Ref<string> => sibling(step, "status");
/** The problem of a failed step, else null. */
export const errorOf = (step: Mark<unknown>): Ref<Caught | null> => sibling(step, "error");
/** What a model step used. */
export const usageOf = (
  step: Mark<unknown>,
): Ref<{ model: string; inputTokens: number; outputTokens: number; costUsd: number | null; calls: number }> => sibling(step, "usage");

/** An error as a handler sees it. */
export interface Caught {
  type: string;
  code: string;
  status: number;
  title: string;
  detail: string;
  instance: string;
}

function sibling<V>(ref: Mark<unknown>, name: string): Ref<V> {
  const meaning = meaningOf(ref);
  if (meaning?.step === undefined) return refuse(`Only a step has a ${name}; pass the reference that its step function gave.`);
  return makeRef({ ...meaning, source: `steps.${meaning.step}.${name}`, step: undefined });
}
