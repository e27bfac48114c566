import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { createAnthropic } from "./model-anthropic.ts";
import type { CallOutcome } from "./model-calls.ts";
import { ModelHealth } from "./model-health.ts";
import { createLocalModel } from "./model-local.ts";
import { createOpenAi } from "./model-openai.ts";
import type { Model } from "./model-port.ts";
import { cannotDo } from "./model-traits.ts";
import { listedPrice, listedWindow, type PricedModel } from "./prices.ts";
import { chooseModel, isTooSmall, type Candidate, type Need, type Preference, type Route } from "./route.ts";

/** The part of the settings that decides who answers. */
export interface ModelSettings {
  OPENAI_API_KEY?: string | undefined;
  OPENAI_BASE_URL?: string | undefined;
  ANTHROPIC_API_KEY?: string | undefined;
  ANTHROPIC_BASE_URL?: string | undefined;
  /** `alias=provider/model` each, or several by `|`. */
  TENUTO_MODELS: string[];
}

/** Whom a call goes to. */
export interface Routed extends PricedModel {
  model: Model;
  /** Of an alias: why this model. */
  route?: Route;
  /** It keeps failing, and is not to be asked for so long. */
  openForMs?: number;
}

/** All models a process can ask. */
export interface Models {
  /** `provider/model` that the alias `embedding` stands for; undefined when there is none. */
  embedding: string | undefined;
  /**
   * By alias or `provider/model`. Fault `model`, not retryable, for a name nobody answers to and for a need nobody meets (`isTooLong`: one of
   * them has too small a window; `isUnable`: one cannot do it).
   */
  route(wanted: string, need: Need): Promise<Routed>;
  /** What the smallest of the models that a name stands for can take in, in tokens; undefined when none is known. */
  window(wanted: string): number | undefined;
  /** What a call says of its model's health. */
  learn(model: PricedModel, outcome: CallOutcome, tookMs: number): void;
}

/** What each of a chain of models can take in, in tokens, as far as that is known. */
export const smallestWindow = (models: Pick<Models, "window">, names: string[]): number =>
  Math.min(...names.map((name) => models.window(name) ?? Number.POSITIVE_INFINITY));

/** All models of this process. A bad TENUTO_MODELS ends it with the entry's text. */
export function createModels(settings: ModelSettings, health = new ModelHealth()): Models {
  const aliases = readAliases(settings);
  const providers = createProviders(settings);

  async function candidateOf({ provider, name }: ModelName, preference: Preference): Promise<Candidate> {
    const model = `${provider}/${name}`;
    const priced = { provider, name, baseUrl: baseUrlOf(settings, provider) };
    return {
      model,
      missing: providers.has(provider) ? undefined : `set ${keyOf(provider)}`,
      cannot: cannotDo(priced),
      contextTokens: listedWindow(priced),
      // The list takes half a millisecond to ask.
      priceUsd: preference === "price" ? listedPrice(priced) : undefined,
      latencyMs: health.latencyMs(model),
      openForMs: await health.openForMs(model),
    };
  }

  return {
    embedding: embeddingOf(aliases, providers),
    async route(wanted, need) {
      const named = parseName(wanted);
      const names = aliases.get(wanted) ?? (named ? [named] : unknownModel(wanted, aliases));
      const preference = preferenceOf(wanted);
      const candidates = await Promise.all(names.map((each) => candidateOf(each, preference)));
      const route = chooseModel(wanted, { candidates, need, preference });
      // Everybody fails: the one that may be asked first.
      const soonest = route.taken === null ? soonestOf(candidates, route, need) : undefined;
      const { provider, name } = names[candidates.findIndex(({ model }) => model === (route.taken ?? soonest?.model))]!;
      const openForMs = soonest?.openForMs ?? (await health.enter(`${provider}/${name}`));
      return {
        model: providers.get(provider)!,
        provider,
        name,
        baseUrl: baseUrlOf(settings, provider),
        ...(aliases.has(wanted) ? { route } : {}),
        ...(openForMs > 0 ? { openForMs } : {}),
      };
    },
    window(wanted) {
      const named = parseName(wanted);
      const names = aliases.get(wanted) ?? (named ? [named] : []);
      const windows = names.map((each) => listedWindow({ ...each, baseUrl: baseUrlOf(settings, each.provider) }));
      const known = windows.filter((window) => window !== undefined);
      return known.length === 0 ? undefined : Math.min(...known);
    },
    learn({ provider, name }, { status, error }, tookMs) {
      // How little time a step gives is its own affair: others must not lose the model by it.
      const isSlow = error?.code === "timeout" && tookMs >= limits.modelFairMs;
      const isAway = isSlow || (error?.code === "model" && error["retryable"] !== false);
      // A refused request says nothing of health, and how fast it was refused nothing of latency.
      if (isAway) void health.failed(`${provider}/${name}`);
      else if (isAnswer.has(status)) void health.answered(`${provider}/${name}`, tookMs);
    },
  };
}

/** One line for people: who answers when a step asks for no model in particular. */
export function describeModels(settings: ModelSettings): string {
  const { provider, name } = readAliases(settings).get("default")![0]!;
  switch (provider) {
    case "local":
      return "local (built-in, deterministic; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a real model)";
    case "openai":
      return `openai/${name}${settings.OPENAI_BASE_URL ? ` at ${settings.OPENAI_BASE_URL}` : ""}`;
    case "anthropic":
      return `anthropic/${name}${settings.ANTHROPIC_BASE_URL ? ` at ${settings.ANTHROPIC_BASE_URL}` : ""}`;
  }
}

const isAnswer: ReadonlySet<CallOutcome["status"]> = new Set(["answered", "unfit", "rejected"]);

const providerNames = ["openai", "anthropic", "local"] as const;
type Provider = (typeof providerNames)[number];

interface ModelName {
  provider: Provider;
  name: string;
}

const aliasNames = ["default", "fast", "smart", "cheap", "reasoning"] as const;
type AliasNames<Value> = Record<(typeof aliasNames)[number], Value>;

const preferences: Partial<Record<string, Preference>> = { cheap: "price", fast: "latency" };
const preferenceOf = (alias: string): Preference => (Object.hasOwn(preferences, alias) ? preferences[alias]! : "order");

/** What the aliases mean when TENUTO_MODELS does not say. `compatible`: a base URL without a key, most often Ollama. */
const defaultModels: Record<Provider | "compatible", AliasNames<string>> = {
  openai: { default: "gpt-5.4-mini", fast: "gpt-5.4-mini", smart: "gpt-5.5", cheap: "gpt-5.4-nano", reasoning: "gpt-5.5" },
  // Not those of 5.5: the list of prices does not know all of them.
  anthropic: {
    default: "claude-sonnet-5",
    fast: "claude-haiku-4-5",
    smart: "claude-opus-5",
    cheap: "claude-haiku-4-5",
    reasoning: "claude-opus-5",
  },
  compatible: { default: "llama3.2", fast: "llama3.2", smart: "llama3.2", cheap: "llama3.2", reasoning: "llama3.2" },
  local: { default: "extractive", fast: "extractive", smart: "extractive", cheap: "extractive", reasoning: "extractive" },
};

function createProviders(settings: ModelSettings): Map<Provider, Model> {
  const providers = new Map<Provider, Model>([["local", createLocalModel()]]);
  if (settings.OPENAI_API_KEY || settings.OPENAI_BASE_URL)
    providers.set("openai", createOpenAi({ apiKey: settings.OPENAI_API_KEY, baseUrl: settings.OPENAI_BASE_URL }));
  if (settings.ANTHROPIC_API_KEY)
    providers.set("anthropic", createAnthropic({ apiKey: settings.ANTHROPIC_API_KEY, baseUrl: settings.ANTHROPIC_BASE_URL }));
  return providers;
}

function readAliases(settings: ModelSettings): Map<string, ModelName[]> {
  const rows = defaultRows(settings);
  const aliases = new Map<string, ModelName[]>(
    aliasNames.map((alias) => [alias, rows.map(({ provider, row }) => ({ provider, name: defaultModels[row][alias] }))]),
  );
  for (const entry of settings.TENUTO_MODELS) {
    const cut = entry.indexOf("=");
    const targets = entry
      .slice(cut + 1)
      .split("|")
      .map((text) => parseName(text.trim()));
    if (cut < 1 || targets.length > limits.routeCandidatesMax || targets.some((target) => !target))
      throw new Error(
        `TENUTO_MODELS: "${entry}" is not alias=provider/model, or up to ${limits.routeCandidatesMax} of them by "|" (providers: ${providerNames.join(", ")}).`,
      );
    aliases.set(entry.slice(0, cut).trim(), targets as ModelName[]);
  }
  return aliases;
}

/** One model, which must be able to: vectors of two have nothing in common. */
function embeddingOf(aliases: Map<string, ModelName[]>, providers: Map<Provider, Model>): string | undefined {
  const names = aliases.get("embedding");
  if (!names) return undefined;
  const [{ provider, name }, ...others] = names as [ModelName, ...ModelName[]];
  if (others.length > 0 || provider === "anthropic")
    throw new Error(
      'TENUTO_MODELS: "embedding" must be one model of openai or local, since vectors of two cannot be compared, and Anthropic has none.',
    );
  if (!providers.has(provider)) throw new Error(`TENUTO_MODELS: for "embedding" set ${keyOf(provider)}.`);
  return `${provider}/${name}`;
}

/** Whoever has a key, in this order; `local` only when nobody else is there: it is no stand-in for a model that thinks. */
function defaultRows(settings: ModelSettings): { provider: Provider; row: keyof typeof defaultModels }[] {
  const rows: { provider: Provider; row: keyof typeof defaultModels }[] = [];
  if (settings.OPENAI_API_KEY) rows.push({ provider: "openai", row: "openai" });
  else if (settings.OPENAI_BASE_URL) rows.push({ provider: "openai", row: "compatible" });
  if (settings.ANTHROPIC_API_KEY) rows.push({ provider: "anthropic", row: "anthropic" });
  return rows.length > 0 ? rows : [{ provider: "local", row: "local" }];
}

// Only the first slash cuts: the names of open models hold slashes themselves.
function parseName(text: string): ModelName | undefined {
  const cut = text.indexOf("/");
  const provider = providerNames.find((name) => name === text.slice(0, cut));
  return provider && cut < text.length - 1 ? { provider, name: text.slice(cut + 1) } : undefined;
}

/** Among models that only fail for the moment. When none of them is among them, nobody can answer: a fault that says why. */
function soonestOf(candidates: Candidate[], { wanted, candidates: reasons }: Route, need: Need): Candidate {
  const failing = candidates.filter(({ openForMs }, index) => openForMs && reasons[index]!.why.startsWith("keeps failing"));
  const [soonest] = failing.toSorted((a, b) => a.openForMs! - b.openForMs!);
  if (soonest) return soonest;
  throw finalFault(`No model can answer as ${wanted}: ${reasons.map(({ model, why }) => `${model} ${why}`).join("; ")}.`, {
    ...(candidates.some((candidate) => isTooSmall(candidate, need)) ? { isTooLong: true } : {}),
    ...(candidates.some(({ cannot }) => cannot?.includes(need.task)) ? { isUnable: true } : {}),
  });
}

function unknownModel(wanted: string, aliases: Map<string, unknown>): never {
  throw finalFault(
    `No model "${wanted}". Aliases: ${[...aliases.keys()].join(", ")}; or provider/model with provider ${providerNames.join(", ")}.`,
  );
}

const finalFault = (detail: string, more: JsonObject = {}): Fault => new Fault("model", detail, { extra: { retryable: false, ...more } });

const keyOf = (provider: Provider): string => (provider === "anthropic" ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY or OPENAI_BASE_URL");

function baseUrlOf(settings: ModelSettings, provider: Provider): string | undefined {
  return provider === "local" ? undefined : provider === "openai" ? settings.OPENAI_BASE_URL : settings.ANTHROPIC_BASE_URL;
}
