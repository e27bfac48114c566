import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { parseName, providerList, readAliases, type ModelName, type Provider } from "./model-aliases.ts";
import { createAnthropic } from "./model-anthropic.ts";
import type { CallOutcome } from "./model-calls.ts";
import { ModelHealth } from "./model-health.ts";
import { createLocalModel } from "./model-local.ts";
import { createOpenAi } from "./model-openai.ts";
import type { Model } from "./model-port.ts";
import { cannotDo } from "./model-traits.ts";
import { listedPrice, listedWindow, type PricedModel, type Prices } from "./prices.ts";
import { chooseModel, isTooSmall, type Candidate, type Need, type Preference, type Route } from "./route.ts";

/** The part of the settings that decides who answers. */
export interface ModelSettings {
  OPENAI_API_KEY?: string | undefined;
  OPENAI_BASE_URL?: string | undefined;
  ANTHROPIC_API_KEY?: string | undefined;
  ANTHROPIC_BASE_URL?: string | undefined;
  /** `alias=provider/model` each, or several by `|`; `@32k` behind a model: what it takes in. */
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
   * By alias or `provider/model`, for a tenant, whose prices decide what is cheap. Faults: `model`, not retryable, for a name nobody answers to and
   * for a need nobody meets (`isUnable`: one of them is known not to do it); `context_too_long` when one would, had it a larger window.
   */
  route(wanted: string, need: Need, tenant: string): Promise<Routed>;
  /** What the smallest of the models that a name stands for can take in, in tokens; undefined when none is known. */
  window(wanted: string): number | undefined;
  /** What a call says of its model's health. */
  learn(model: PricedModel, outcome: CallOutcome, tookMs: number): void;
}

/** What each of a chain of models can take in, in tokens, as far as that is known. */
export const smallestWindow = (models: Pick<Models, "window">, names: string[]): number =>
  Math.min(...names.map((name) => models.window(name) ?? Number.POSITIVE_INFINITY));

interface ModelsDeps {
  health?: ModelHealth;
  /** Without it what the built-in list says. */
  prices?: Pick<Prices, "ofMillion">;
}

/** All models of this process. A bad TENUTO_MODELS ends it with the entry's text. */
export function createModels(settings: ModelSettings, { health = new ModelHealth(), prices = listedPrices }: ModelsDeps = {}): Models {
  const { names: aliases, windows } = readAliases(settings);
  const providers = createProviders(settings);

  const pricedOf = ({ provider, name }: ModelName): PricedModel => ({ provider, name, baseUrl: baseUrlOf(settings, provider) });
  const windowOf = (each: ModelName): number | undefined => windows.get(labelOf(each)) ?? listedWindow(pricedOf(each));

  async function candidateOf(each: ModelName, preference: Preference, tenant: string): Promise<Candidate> {
    const { provider } = each;
    const model = labelOf(each);
    return {
      model,
      missing: providers.has(provider) ? undefined : `set ${keyOf(provider)}`,
      cannot: cannotDo(pricedOf(each)),
      contextTokens: windowOf(each),
      // The list takes half a millisecond to ask.
      priceUsd: preference === "price" ? await prices.ofMillion(tenant, pricedOf(each)) : undefined,
      latencyMs: health.latencyMs(model),
      openForMs: await health.openForMs(model),
    };
  }

  return {
    embedding: embeddingOf(aliases, providers),
    async route(wanted, need, tenant) {
      const named = parseName(wanted);
      const names = aliases.get(wanted) ?? (named ? [named] : unknownModel(wanted, aliases));
      const preference = preferenceOf(wanted);
      const candidates = await Promise.all(names.map((each) => candidateOf(each, preference, tenant)));
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
      const known = names.map(windowOf).filter((window) => window !== undefined);
      return known.length === 0 ? undefined : Math.min(...known);
    },
    learn({ provider, name }, { status, error }, tookMs) {
      // How little time a step gives is its own affair: others must not lose the model by it.
      const isSlow = error?.code === "timeout" && tookMs >= limits.modelFairMs;
      // One that takes no more at the moment is well: its quota closes, for those who share it.
      const isAway = isSlow || (error?.code === "model" && error["retryable"] !== false && error["upstreamStatus"] !== TOO_MANY);
      // A refused request says nothing of health, and how fast it was refused nothing of latency.
      if (isAway) void health.failed(`${provider}/${name}`);
      else if (isAnswer.has(status)) void health.answered(`${provider}/${name}`, tookMs);
    },
  };
}

/** One line for people: who answers when a step asks for no model in particular. */
export function describeModels(settings: ModelSettings): string {
  const { provider, name } = readAliases(settings).names.get("default")![0]!;
  switch (provider) {
    case "local":
      return "local (built-in, deterministic; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a real model)";
    case "openai":
      return `openai/${name}${settings.OPENAI_BASE_URL ? ` at ${settings.OPENAI_BASE_URL}` : ""}`;
    case "anthropic":
      return `anthropic/${name}${settings.ANTHROPIC_BASE_URL ? ` at ${settings.ANTHROPIC_BASE_URL}` : ""}`;
  }
}

const TOO_MANY = 429;

const isAnswer: ReadonlySet<CallOutcome["status"]> = new Set(["answered", "unfit", "rejected"]);

const preferences: Partial<Record<string, Preference>> = { cheap: "price", fast: "latency" };
const preferenceOf = (alias: string): Preference => (Object.hasOwn(preferences, alias) ? preferences[alias]! : "order");

function createProviders(settings: ModelSettings): Map<Provider, Model> {
  const providers = new Map<Provider, Model>([["local", createLocalModel()]]);
  if (settings.OPENAI_API_KEY || settings.OPENAI_BASE_URL)
    providers.set("openai", createOpenAi({ apiKey: settings.OPENAI_API_KEY, baseUrl: settings.OPENAI_BASE_URL }));
  if (settings.ANTHROPIC_API_KEY)
    providers.set("anthropic", createAnthropic({ apiKey: settings.ANTHROPIC_API_KEY, baseUrl: settings.ANTHROPIC_BASE_URL }));
  return providers;
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

/** Among models that only fail for the moment. When none of them is among them, nobody can answer: a fault that says why. */
function soonestOf(candidates: Candidate[], { wanted, candidates: reasons }: Route, need: Need): Candidate {
  const failing = candidates.filter(({ openForMs }, index) => openForMs && reasons[index]!.why.startsWith("keeps failing"));
  const [soonest] = failing.toSorted((a, b) => a.openForMs! - b.openForMs!);
  if (soonest) return soonest;
  const detail = `No model can answer as ${wanted}: ${reasons.map(({ model, why }) => `${model} ${why}`).join("; ")}.`;
  if (candidates.some((candidate) => isTooSmall(candidate, need))) throw new Fault("context_too_long", detail);
  throw finalFault(detail, candidates.some(({ cannot }) => cannot?.includes(need.task)) ? { isUnable: true } : {});
}

function unknownModel(wanted: string, aliases: Map<string, unknown>): never {
  throw finalFault(`No model "${wanted}". Aliases: ${[...aliases.keys()].join(", ")}; or provider/model with provider ${providerList}.`);
}

const finalFault = (detail: string, more: JsonObject = {}): Fault => new Fault("model", detail, { extra: { retryable: false, ...more } });

const listedPrices: Pick<Prices, "ofMillion"> = { ofMillion: async (_, model) => listedPrice(model) };

const labelOf = ({ provider, name }: ModelName): string => `${provider}/${name}`;

const keyOf = (provider: Provider): string => (provider === "anthropic" ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY or OPENAI_BASE_URL");

function baseUrlOf(settings: ModelSettings, provider: Provider): string | undefined {
  return provider === "local" ? undefined : provider === "openai" ? settings.OPENAI_BASE_URL : settings.ANTHROPIC_BASE_URL;
}
