import { calcPrice, findProvider } from "@pydantic/genai-prices";
import type { Database } from "../prisma/client.ts";
import type { TokenUsage } from "../contracts/model-calls.ts";
import { Lately } from "../prisma/lately.ts";
import { noUsage } from "./model-port.ts";

/** USD per million tokens. */
export interface Price {
  input: number;
  output: number;
  /** As other input, when not said. */
  cacheRead?: number | undefined;
  /** The same; of Anthropic a quarter more, as of all its models. */
  cacheWrite?: number | undefined;
}

export interface PricedModel {
  provider: string;
  name: string;
  /** Where it is asked, when that is not the provider's own address: the built-in list knows some of those too. */
  baseUrl?: string | undefined;
}

/** What a call costs: the tenant's own price, then the operator's (`TENUTO_MODEL_PRICES`), then the built-in list; null when none knows it. */
export class Prices {
  readonly #database: Database;
  readonly #own: ReadonlyMap<string, Price>;
  readonly #tenants = new Lately<Map<string, Price>>({ knownMs: staleAfterMs, keysMax: tenantsMax });

  constructor(database: Database, own: string[] = []) {
    this.#database = database;
    this.#own = new Map(own.map(readPrice));
  }

  async cost(tenant: string, model: PricedModel, usage: TokenUsage | null, at = new Date()): Promise<number | null> {
    if (usage === null) return null;
    if (model.provider === "local" || usage.inputTokens + usage.outputTokens === 0) return 0;
    const given = await this.#given(tenant, model);
    return given ? costAt(withWrites(given, model), usage) : listedCost(model, usage, at);
  }

  /** A million tokens in and a million out, in small requests; undefined when nobody knows. */
  async ofMillion(tenant: string, model: PricedModel): Promise<number | undefined> {
    const given = await this.#given(tenant, model);
    return given ? given.input + given.output : listedPrice(model);
  }

  async #given(tenant: string, model: PricedModel): Promise<Price | undefined> {
    const name = `${model.provider}/${model.name}`;
    return (await this.#tenants.get(tenant, () => this.#pricesOf(tenant))).get(name) ?? this.#own.get(name);
  }

  async #pricesOf(tenant: string): Promise<Map<string, Price>> {
    const rows = await this.#database.modelPrice.findMany({ where: { tenant } });
    return new Map(rows.map((row) => [row.model, priceOf(row)]));
  }
}

const staleAfterMs = 30_000;
const tenantsMax = 1_000;

const priceOf = (row: { input: number; output: number; cacheRead: number | null; cacheWrite: number | null }): Price => ({
  input: row.input,
  output: row.output,
  cacheRead: row.cacheRead ?? undefined,
  cacheWrite: row.cacheWrite ?? undefined,
});

const withWrites = ({ cacheWrite, ...price }: Price, { provider }: PricedModel): Price => ({
  ...price,
  cacheWrite: cacheWrite ?? price.input * (provider === "anthropic" ? 1.25 : 1),
});

export function costAt({ input, output, cacheRead = input, cacheWrite = input }: Price, usage: TokenUsage): number {
  const { cacheReadTokens, cacheWriteTokens } = usage;
  const plain = usage.inputTokens - cacheReadTokens - cacheWriteTokens;
  return (plain * input + cacheReadTokens * cacheRead + cacheWriteTokens * cacheWrite + usage.outputTokens * output) / 1_000_000;
}

/** By the list of `@pydantic/genai-prices`, which answers with the model whose name begins alike: only the very model counts here. */
export function listedCost(model: PricedModel, usage: TokenUsage, at: Date): number | null {
  const provider = findProvider(model.baseUrl === undefined ? { providerId: model.provider } : { providerApiUrl: model.baseUrl });
  if (!provider) return null;
  const counted = {
    input_tokens: usage.inputTokens,
    output_tokens: usage.outputTokens,
    cache_read_tokens: usage.cacheReadTokens,
    cache_write_tokens: usage.cacheWriteTokens,
  };
  try {
    const found = calcPrice(counted, model.name, { provider, timestamp: at });
    return found && isSameModel(found.model.id, model.name) ? found.total_price : null;
  } catch {
    // It refuses counts that contradict each other.
    return null;
  }
}

/** Of a million tokens in and a million out, in small requests; undefined when the list does not know the very model. */
export const listedPrice = (model: PricedModel): number | undefined =>
  model.provider === "local"
    ? 0
    : (listedCost(model, { ...noUsage, inputTokens: 1_000, outputTokens: 1_000 }, new Date()) ?? Number.NaN) * 1_000 || undefined;

/** What a model can take in, by the same list; undefined when it does not know the very model. */
export function listedWindow(model: PricedModel): number | undefined {
  const provider = findProvider(model.baseUrl === undefined ? { providerId: model.provider } : { providerApiUrl: model.baseUrl });
  return provider?.models.find(({ id }) => isSameModel(id, model.name))?.context_window;
}

/** Whether two names differ at most by a release's date or `-latest`. */
const isSameModel = (listed: string, asked: string): boolean => plainName(listed) === plainName(asked);

const plainName = (name: string): string => name.toLowerCase().replace(/(?:-latest|[-@]\d{8}|-\d{4}-\d{2}-\d{2})$/, "");

/** `provider/model=input/output` or `…/cacheRead/cacheWrite`, in USD per million tokens. */
function readPrice(entry: string): [string, Price] {
  const cut = entry.lastIndexOf("=");
  const numbers = entry
    .slice(cut + 1)
    .split("/")
    .map((text) => (text.trim() === "" ? Number.NaN : Number(text)));
  const name = entry.slice(0, cut).trim();
  const [input, output, cacheRead, cacheWrite] = numbers;
  const isWrong = cut < 1 || !name.includes("/") || ![2, 4].includes(numbers.length) || numbers.some((price) => !(price >= 0));
  if (isWrong || input === undefined || output === undefined)
    throw new Error(
      `TENUTO_MODEL_PRICES: "${entry}" is not provider/model=input/output or provider/model=input/output/cacheRead/cacheWrite, in USD per million tokens.`,
    );
  return [name, { input, output, cacheRead, cacheWrite }];
}
