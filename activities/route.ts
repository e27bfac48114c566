/** What a request asks of a model. */
export interface Need {
  /** About. */
  inputTokens: number;
  task: "text" | "structured" | "tools" | "embedding";
  /** `provider/model` of those that have refused the very request for its length. */
  refusedBy?: readonly string[];
}

/** A model that an alias may stand for, as far as it is known at the moment. */
export interface Candidate {
  /** `provider/model` */
  model: string;
  /** What its provider lacks to be asked at all. */
  missing?: string | undefined;
  /** Tasks that it, or its provider, is known not to do. */
  cannot?: readonly Need["task"][] | undefined;
  contextTokens?: number | undefined;
  /** Of a million tokens in and out. */
  priceUsd?: number | undefined;
  latencyMs?: number | undefined;
  /** Its provider keeps failing and is not asked for so long. */
  openForMs?: number | undefined;
}

/** What decides among those that can answer; `order`: as they are listed. */
export type Preference = "order" | "price" | "latency";

/** Why this model. */
export type Route = {
  wanted: string;
  taken: string | null;
  candidates: { model: string; taken: boolean; why: string }[];
};

/** Choose among candidates. A pure function: the same knowledge gives the same choice, and each candidate is told its reason. */
export function chooseModel(
  wanted: string,
  { candidates, need, preference }: { candidates: readonly Candidate[]; need: Need; preference: Preference },
): Route {
  const excluded = candidates.map((candidate) => reasonAgainst(candidate, need));
  const fit = candidates.filter((_, index) => excluded[index] === undefined);
  const [best] = ranked(fit, preference);
  return {
    wanted,
    taken: best?.model ?? null,
    candidates: candidates.map((candidate, index) => ({
      model: candidate.model,
      taken: candidate === best,
      why: excluded[index] ?? reasonAmong(candidate, best!, { preference, others: fit.length - 1 }),
    })),
  };
}

const taskWords: Record<Need["task"], string> = {
  text: "texts",
  structured: "answers by a schema",
  tools: "calls of tools",
  embedding: "embeddings",
};

export const isTooSmall = (candidate: Candidate, need: Need): boolean => {
  const { contextTokens = Number.POSITIVE_INFINITY } = candidate;
  return need.inputTokens > contextTokens || hasRefused(candidate, need);
};

const hasRefused = ({ model }: Candidate, { refusedBy = [] }: Need): boolean => refusedBy.includes(model);

function reasonAgainst(candidate: Candidate, need: Need): string | undefined {
  const { missing, cannot, contextTokens, openForMs } = candidate;
  if (missing !== undefined) return `not set up: ${missing}`;
  if (cannot?.includes(need.task)) return `cannot do ${taskWords[need.task]}`;
  if (hasRefused(candidate, need)) return "has refused the request for its length";
  if (isTooSmall(candidate, need)) return `takes ${contextTokens} tokens, the request has about ${need.inputTokens}`;
  if (openForMs !== undefined && openForMs > 0) return `keeps failing; asked again in ${Math.ceil(openForMs / 1_000)} s`;
  return undefined;
}

/** Best first; equal ones as listed. What is not known counts as the best known: only evidence moves a model away from its place. */
function ranked(candidates: readonly Candidate[], preference: Preference): Candidate[] {
  if (preference === "order") return [...candidates];
  const known = candidates.flatMap((candidate) => measureOf(candidate, preference) ?? []);
  // An unknown price is no low price.
  const unknown = preference === "price" ? Infinity : Math.min(...known);
  const weight = (candidate: Candidate): number => measureOf(candidate, preference) ?? unknown;
  return candidates.toSorted((a, b) => (weight(a) === weight(b) ? 0 : weight(a) - weight(b)));
}

const measureOf = ({ priceUsd, latencyMs }: Candidate, preference: Preference): number | undefined =>
  preference === "price" ? priceUsd : latencyMs;

function reasonAmong(candidate: Candidate, best: Candidate, { preference, others }: { preference: Preference; others: number }): string {
  if (candidate === best) {
    if (others === 0) return "the only one that can answer";
    return preference === "order" ? "first in the list" : `lowest ${preference}: ${measured(candidate, preference)}`;
  }
  return preference === "order" ? `after ${best.model} in the list` : `${preference}: ${measured(candidate, preference)}`;
}

function measured(candidate: Candidate, preference: Preference): string {
  const measure = measureOf(candidate, preference);
  if (measure === undefined) return "not known, placed as listed";
  return preference === "price" ? `$${measure} per million tokens in and out` : `${Math.round(measure)} ms`;
}
