import { Fault } from "../contracts/faults.ts";
import { createAnthropic } from "./model-anthropic.ts";
import { createLocalModel } from "./model-local.ts";
import { createOpenAi } from "./model-openai.ts";
import type { Model, Models } from "./model-port.ts";

/** The part of the settings that decides who answers. */
export interface ModelSettings {
  OPENAI_API_KEY?: string | undefined;
  OPENAI_BASE_URL?: string | undefined;
  ANTHROPIC_API_KEY?: string | undefined;
  ANTHROPIC_BASE_URL?: string | undefined;
  /** `alias=provider/model` each. */
  TENUTO_MODELS: string[];
}

/** All models of this process. A bad TENUTO_MODELS ends it with the entry's text. */
export function createModels(settings: ModelSettings): Models {
  const aliases = readAliases(settings);
  const providers = createProviders(settings);
  return {
    resolve(wanted) {
      const { provider, name } = aliases.get(wanted) ?? parseName(wanted) ?? unknownModel(wanted, aliases);
      const model = providers.get(provider);
      if (!model) throw finalFault(`Model ${wanted} needs provider ${provider}: set ${keyOf(provider)}.`);
      return { model, provider, name, costUsd: provider === "local" ? 0 : null };
    },
  };
}

/** One line for people: who answers when a step asks for no model in particular. */
export function describeModels(settings: ModelSettings): string {
  const { provider, name } = readAliases(settings).get("default")!;
  switch (provider) {
    case "local":
      return "local (built-in, deterministic; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a real model)";
    case "openai":
      return `openai/${name}${settings.OPENAI_BASE_URL ? ` at ${settings.OPENAI_BASE_URL}` : ""}`;
    case "anthropic":
      return `anthropic/${name}${settings.ANTHROPIC_BASE_URL ? ` at ${settings.ANTHROPIC_BASE_URL}` : ""}`;
  }
}

const providerNames = ["openai", "anthropic", "local"] as const;
type Provider = (typeof providerNames)[number];

interface ModelName {
  provider: Provider;
  name: string;
}

const aliasNames = ["default", "fast", "smart", "cheap"] as const;

/** What the aliases mean when TENUTO_MODELS does not say. `compatible`: a base URL without a key, most often Ollama. */
const defaultModels: Record<Provider | "compatible", Record<(typeof aliasNames)[number], string>> = {
  openai: { default: "gpt-5.4-mini", fast: "gpt-5.4-mini", smart: "gpt-5.5", cheap: "gpt-5.4-nano" },
  anthropic: { default: "claude-sonnet-5-5", fast: "claude-haiku-5-5", smart: "claude-opus-5-5", cheap: "claude-haiku-5-5" },
  compatible: { default: "llama3.2", fast: "llama3.2", smart: "llama3.2", cheap: "llama3.2" },
  local: { default: "extractive", fast: "extractive", smart: "extractive", cheap: "extractive" },
};

function createProviders(settings: ModelSettings): Map<Provider, Model> {
  const providers = new Map<Provider, Model>([["local", createLocalModel()]]);
  if (settings.OPENAI_API_KEY || settings.OPENAI_BASE_URL)
    providers.set("openai", createOpenAi({ apiKey: settings.OPENAI_API_KEY, baseUrl: settings.OPENAI_BASE_URL }));
  if (settings.ANTHROPIC_API_KEY)
    providers.set("anthropic", createAnthropic({ apiKey: settings.ANTHROPIC_API_KEY, baseUrl: settings.ANTHROPIC_BASE_URL }));
  return providers;
}

function readAliases(settings: ModelSettings): Map<string, ModelName> {
  const [provider, row] = defaultProvider(settings);
  const aliases = new Map<string, ModelName>(aliasNames.map((alias) => [alias, { provider, name: defaultModels[row][alias] }]));
  for (const entry of settings.TENUTO_MODELS) {
    const cut = entry.indexOf("=");
    const target = parseName(entry.slice(cut + 1).trim());
    if (cut < 1 || !target)
      throw new Error(`TENUTO_MODELS: "${entry}" is not alias=provider/model (providers: ${providerNames.join(", ")}).`);
    aliases.set(entry.slice(0, cut).trim(), target);
  }
  return aliases;
}

function defaultProvider(settings: ModelSettings): [Provider, keyof typeof defaultModels] {
  if (settings.OPENAI_API_KEY) return ["openai", "openai"];
  if (settings.OPENAI_BASE_URL) return ["openai", "compatible"];
  if (settings.ANTHROPIC_API_KEY) return ["anthropic", "anthropic"];
  return ["local", "local"];
}

// Only the first slash cuts: the names of open models hold slashes themselves.
function parseName(text: string): ModelName | undefined {
  const cut = text.indexOf("/");
  const provider = providerNames.find((name) => name === text.slice(0, cut));
  return provider && cut < text.length - 1 ? { provider, name: text.slice(cut + 1) } : undefined;
}

function unknownModel(wanted: string, aliases: Map<string, ModelName>): never {
  throw finalFault(
    `No model "${wanted}". Aliases: ${[...aliases.keys()].join(", ")}; or provider/model with provider ${providerNames.join(", ")}.`,
  );
}

const finalFault = (detail: string): Fault => new Fault("model", detail, { extra: { retryable: false } });

const keyOf = (provider: Provider): string => (provider === "anthropic" ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY or OPENAI_BASE_URL");
