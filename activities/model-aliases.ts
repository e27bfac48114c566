import { limits } from "../contracts/limits.ts";
import type { ModelSettings } from "./models.ts";

const providerNames = ["openai", "anthropic", "local"] as const;
export type Provider = (typeof providerNames)[number];
export const providerList = providerNames.join(", ");

export interface ModelName {
  provider: Provider;
  name: string;
}

export interface Aliases {
  /** What each stands for, best first. */
  names: Map<string, ModelName[]>;
  /** What a model takes in, by `provider/model`, as far as the operator says. */
  windows: Map<string, number>;
}

const aliasNames = ["default", "fast", "smart", "cheap", "reasoning"] as const;
type AliasNames<Value> = Record<(typeof aliasNames)[number], Value>;

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

/** TENUTO_MODELS: `alias=provider/model`, or several by `|`; a model may say its window (`openai/qwen3@32k`), also without an alias. */
export function readAliases(settings: ModelSettings): Aliases {
  const rows = defaultRows(settings);
  const names = new Map<string, ModelName[]>(
    aliasNames.map((alias) => [alias, rows.map(({ provider, row }) => ({ provider, name: defaultModels[row][alias] }))]),
  );
  const windows = new Map<string, number>();
  for (const entry of settings.TENUTO_MODELS) {
    const cut = entry.indexOf("=");
    const targets = entry
      .slice(cut + 1)
      .split("|")
      .map((text) => readTarget(text.trim()));
    const isAlone = cut < 0 && targets.length === 1 && targets[0]?.window !== undefined;
    if ((cut < 1 && !isAlone) || targets.length > limits.routeCandidatesMax || targets.some((target) => !target))
      throw new Error(
        `TENUTO_MODELS: "${entry}" is not alias=provider/model, or up to ${limits.routeCandidatesMax} of them by "|", nor provider/model@32k with what the model takes in (providers: ${providerList}).`,
      );
    for (const { model, window } of targets as Target[]) if (window !== undefined) windows.set(`${model.provider}/${model.name}`, window);
    if (!isAlone)
      names.set(
        entry.slice(0, cut).trim(),
        (targets as Target[]).map(({ model }) => model),
      );
  }
  return { names, windows };
}

interface Target {
  model: ModelName;
  /** In tokens. */
  window?: number;
}

function readTarget(text: string): Target | undefined {
  // Longer numbers are dates: some models' names end so.
  const [, name = text, thousands, tokens] = /^(.+)@(?:([1-9]\d{0,3})k|([1-9]\d{3,6}))$/.exec(text) ?? [];
  const model = parseName(name);
  if (!model) return undefined;
  if (thousands !== undefined) return { model, window: Number(thousands) * 1_000 };
  return tokens === undefined ? { model } : { model, window: Number(tokens) };
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
export function parseName(text: string): ModelName | undefined {
  const cut = text.indexOf("/");
  const provider = providerNames.find((name) => name === text.slice(0, cut));
  return provider && cut < text.length - 1 ? { provider, name: text.slice(cut + 1) } : undefined;
}
