import { TENANT_PATTERN } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import type { Quota } from "../contracts/quotas.ts";
import type { Database } from "../prisma/client.ts";
import { Lately } from "../prisma/lately.ts";
import { parseDuration } from "../language/duration.ts";
import type { CallOutcome } from "./model-calls.ts";
import { ask, close, isRefusing, settle, type Caller, type Line } from "./quota-line.ts";
import type { QuotaLines } from "./quota-lines.ts";

/** A call that asks for its turn. */
export interface Asker {
  /** Equal whenever the same call asks. */
  id: string;
  tenant: string;
  provider: string;
  name: string;
  /** About. */
  inputTokens: number;
  outputTokensMax?: number | undefined;
}

/** A call whose turn it is. */
export interface Turn {
  asker: Asker;
  /** When, by the clock of the line; absent: it falls under no quota. */
  at?: number;
  under: string[];
  tokens: number;
}

export interface Wait {
  model: string;
  waitMs: number;
}

/** What a provider said of itself when it refused. */
export interface Refused {
  retryAfterMs?: number | undefined;
  quota?: Quota | undefined;
}

/**
 * How often models may be asked: by the operator for a provider or a model (`TENUTO_MODEL_QUOTAS`), of all tenants or of one, by tenants for
 * themselves (`PUT /model-quotas`), and by what providers say when they refuse. Nothing here rejects for a Redis that is away.
 */
export class Quotas {
  readonly #database: Database;
  readonly #lines: QuotaLines;
  readonly #own: ReadonlyMap<string, Quota>;
  readonly #tenants = new Lately<Map<string, Quota>>({ knownMs: limits.quotasKnownMs, keysMax: limits.budgetTenantsKnownMax });

  constructor(database: Database, lines: QuotaLines, own: string[] = []) {
    this.#database = database;
    this.#lines = lines;
    this.#own = new Map(own.map(readQuota));
  }

  /** Its turn, or how long to wait for it. Whoever comes back keeps their place. */
  async turn(asker: Asker): Promise<Turn | Wait> {
    const model = modelOf(asker);
    const under = await this.#quotasOf(asker);
    const isAsked = under.length > 0 || isRefusing(this.#lines.glance(asker.provider), model, Date.now());
    if (!isAsked) return { asker, under: [], tokens: 0 };
    const whole = under.some(({ name }) => name === model)
      ? under
      : [...under, { name: model, quota: { windowMs: 60_000 }, isShared: true }];
    return this.#lines.update(asker.provider, (line, moment): Turn | Wait => {
      const tokens = tokensOf(line, asker);
      const caller: Caller = { id: asker.id, tenant: asker.tenant, model, tokens, under: whole };
      const waitMs = ask(line, caller, moment);
      return waitMs > 0 ? { model, waitMs } : { asker, at: moment.now, under: whole.map(({ name }) => name), tokens };
    });
  }

  /** What the call came to; nobody waits for this. */
  settle(turn: Turn, { status, usage }: CallOutcome, refused: Refused | undefined): void {
    const { asker, at, under, tokens } = turn;
    const model = modelOf(asker);
    if (refused)
      void this.#lines.update(asker.provider, (line, { now }) =>
        close(line, model, { now, until: now + (refused.retryAfterMs ?? defaultCloseMs), told: refused.quota }),
      );
    if (at === undefined) return;
    const isMade = status !== "skipped";
    void this.#lines.update(asker.provider, (line, { share }) => {
      if (usage && isMade && usage.outputTokens > 0) learn(line, asker, usage);
      const used = usage === null ? tokens : usage.inputTokens + usage.outputTokens;
      settle(line, under, { at, requests: isMade ? 0 : -1, tokens: used - tokens }, share);
    });
  }

  /** The call is not made after all. */
  giveBack({ asker, at, under, tokens }: Turn): void {
    if (at === undefined) return;
    void this.#lines.update(asker.provider, (line, { share }) => settle(line, under, { at, requests: -1, tokens: -tokens }, share));
  }

  async #quotasOf({ tenant, provider, name }: Asker): Promise<Caller["under"]> {
    const own = await this.#tenants.get(tenant, () => this.#tenantsOf(tenant));
    return [provider, `${provider}/${name}`].flatMap((each) => {
      const [ours, given, theirs] = [this.#own.get(each), this.#own.get(`${tenant}:${each}`), own.get(each)];
      return [
        ...(ours ? [{ name: each, quota: ours, isShared: true }] : []),
        ...(given ? [{ name: `${tenant}:${each}`, quota: given, isShared: false }] : []),
        ...(theirs ? [{ name: `${tenant} ${each}`, quota: theirs, isShared: false }] : []),
      ];
    });
  }

  async #tenantsOf(tenant: string): Promise<Map<string, Quota>> {
    const rows = await this.#database.modelQuota.findMany({ where: { tenant } });
    return new Map(rows.map(({ model, requests, tokens, windowMs }) => [model, quotaOf(requests, tokens, windowMs)]));
  }
}

/** What an outcome says of its provider's limits, when that has refused the call. */
export function refusedBy({ error, told }: CallOutcome): Refused | undefined {
  if (error?.["upstreamStatus"] !== 429) return undefined;
  const { retryAfterMs } = error;
  return { retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : undefined, quota: told };
}

export const isTurn = (answer: Turn | Wait): answer is Turn => "asker" in answer;

/** Without a word of its provider. */
const defaultCloseMs = 2_000;

/** What a call will be counted for: with what answers of the model have taken so far. */
function tokensOf({ learned }: Line, asker: Asker): number {
  const { input, output } = learned[modelOf(asker)] ?? { input: 1, output: firstGuess };
  return Math.ceil(asker.inputTokens * input + Math.min(output, asker.outputTokensMax ?? Number.POSITIVE_INFINITY));
}
const firstGuess = 500;
const newestShare = 0.2;

function learn({ learned }: Line, asker: Asker, { inputTokens, outputTokens }: { inputTokens: number; outputTokens: number }): void {
  const before = learned[modelOf(asker)] ?? { input: 1, output: firstGuess };
  const mixed = (old: number, newest: number): number => old + (newest - old) * newestShare;
  learned[modelOf(asker)] = {
    input: mixed(before.input, inputTokens / Math.max(1, asker.inputTokens)),
    output: mixed(before.output, outputTokens),
  };
}

const modelOf = ({ provider, name }: Asker): string => `${provider}/${name}`;

const quotaOf = (requests: number | null, tokens: number | null, windowMs: number): Quota => ({
  ...(requests === null ? {} : { requests }),
  ...(tokens === null ? {} : { tokens }),
  windowMs,
});

/**
 * `provider/model=requests/tokens` for a minute, or `…@10s`; a provider alone means all its models, `-` no limit, `tenant:` before it the calls of
 * one tenant. Names of models hold colons, too: after the slash.
 */
function readQuota(entry: string): [string, Quota] {
  const [, of = "", requests = "", tokens = "-", window] = /^([^=]+)=(\d+|-)(?:\/(\d+|-))?(?:@(\w+))?$/.exec(entry) ?? [];
  const name = of.trim();
  const tenant = /^([^:/]*):/.exec(name)?.[1];
  const isOfTenant = tenant === undefined || isTenant.test(tenant);
  const windowMs = window === undefined ? 60_000 : windowOf(window);
  const isWrong =
    name === "" ||
    name.endsWith(":") ||
    !isOfTenant ||
    windowMs === undefined ||
    (requests === "-" && tokens === "-") ||
    [requests, tokens].includes("0");
  if (isWrong)
    throw new Error(
      `TENUTO_MODEL_QUOTAS: "${entry}" is not provider/model=requests/tokens for each minute (tenant: before it for the calls of one; - for no limit; @10s at the end for another window).`,
    );
  const number = (text: string): number | null => (text === "-" ? null : Number(text));
  return [name, quotaOf(number(requests), number(tokens), windowMs)];
}

const isTenant = new RegExp(TENANT_PATTERN);

function windowOf(text: string): number | undefined {
  const ms = /^\d+(s|m|h)$/.test(text) ? parseDuration(text) : 0;
  return ms >= limits.quotaWindowMinMs && ms <= limits.quotaWindowMaxMs ? ms : undefined;
}
