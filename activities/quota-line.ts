import { limits } from "../contracts/limits.ts";
import type { Quota } from "../contracts/quotas.ts";
import { charge, correct, earliest, isIdle, lapse, newGauge, requestMs, roomAt, tokensMs, type Gauge } from "./quota-gauge.ts";

/** Whoever waits for a provider's models, and how far their quotas are used up. Plain JSON: workers share it. */
export interface Line {
  gauges: Record<string, Gauge>;
  waiting: Place[];
  /** How much of each model has been given out, in milliseconds of its quota: the tag of the call that went last. */
  given: Record<string, number>;
  /** By model and tenant: the tag of the tenant's next call. */
  next: Record<string, number>;
  /** What answers take, by model: tokens of the answer, and of the question for each estimated one. */
  learned: Record<string, { output: number; input: number }>;
  /** Workers that asked of late, and when. */
  askers: Record<string, number>;
  /** What providers have said of their limits, by model, and until when that is believed. */
  told: Record<string, { quota: Quota; until: number }>;
}

interface Place {
  id: string;
  tenant: string;
  model: string;
  tokens: number;
  /** Names of gauges. */
  under: string[];
  tag: number;
  /** How much of its model it takes, on the scale of tags. */
  cost: number;
  /** When it was told to come back. */
  dueAt: number;
}

/** One call, as it asks for its turn. */
export interface Caller {
  /** Equal whenever the same call asks. */
  id: string;
  tenant: string;
  /** `provider/model` */
  model: string;
  tokens: number;
  /** What it falls under. */
  under: { name: string; quota: Quota; isShared: boolean }[];
}

interface Moment {
  now: number;
  /** Of each quota, for a worker that cannot reach the others. */
  share: number;
}

/** How a model is asked that has refused a call and whose limits nobody knows. */
const unknown: Quota = { requests: limits.quotaUnknownRequests, windowMs: 60_000 };

export const newLine = (): Line => ({ gauges: {}, waiting: [], given: {}, next: {}, learned: {}, askers: {}, told: {} });

/**
 * Gives 0 when it is the call's turn, and counts it; else how many milliseconds until it may be. Whoever comes back with the same id
 * keeps their place.
 *
 * Tenants take turns: a call's tag is how much its tenant has been given before it, and the lowest goes first. A tenant that has asked
 * little goes first for a while, and is then like the others; so nobody waits behind a whole queue of somebody else's.
 */
export function ask(line: Line, caller: Caller, moment: Moment): number {
  const { now, share } = moment;
  tidy(line, now);
  for (const { name, quota } of caller.under) {
    const narrowed = narrower(quota, line.told[name]?.quota);
    const gauge = (line.gauges[name] = { ...(line.gauges[name] ?? newGauge(narrowed)), quota: narrowed });
    lapse(gauge, { now, isMissed: line.waiting.some((place) => place.dueAt < now && place.under.includes(name)) });
  }
  const place = placeOf(line, caller, moment);
  if (!place) return limits.quotaWaitMsMax;
  const at = turnOf(line, place, moment);
  if (at > now) {
    place.dueAt = Math.min(at, now + limits.quotaWaitMsMax);
    return Math.ceil(place.dueAt - now);
  }
  line.waiting.splice(line.waiting.indexOf(place), 1);
  // Not more than what those still wait for who are late: a newcomer would find its place behind them all.
  const others = line.waiting.filter(({ model, dueAt }) => model === place.model && dueAt <= now).map(({ tag }) => tag);
  line.given[place.model] = Math.max(line.given[place.model] ?? 0, Math.min(place.tag, ...others));
  for (const name of place.under) charge(line.gauges[name]!, place.tokens, { now, share });
  return 0;
}

/** The call that was let through has come to so many requests and tokens more than it was counted for, or less. */
export function settle(line: Line, under: readonly string[], more: { at: number; requests: number; tokens: number }, share: number): void {
  for (const name of under) {
    const gauge = line.gauges[name];
    if (gauge) correct(gauge, more, share);
  }
}

/** A provider has refused a call: nobody asks this model before `until`, and what it said of its limits is believed for a while. */
export function close(line: Line, model: string, { now, until, told }: { now: number; until: number; told: Quota | undefined }): void {
  const gauge = (line.gauges[model] ??= newGauge({ windowMs: unknown.windowMs }));
  gauge.closedUntil = Math.max(gauge.closedUntil, until);
  const { requests, tokens } = gauge.quota;
  if (told) line.told[model] = { quota: told, until: now + limits.quotaToldMs };
  // They all come back at once otherwise.
  else if (requests === undefined && tokens === undefined) line.told[model] ??= { quota: unknown, until: until + unknown.windowMs };
}

/** Whether a model without a quota must be asked for all the same. */
export const isRefusing = ({ told }: Line, model: string, now: number): boolean => (told[model]?.until ?? 0) > now;

function tidy(line: Line, now: number): void {
  // Whoever does not come back (their run was cancelled) holds up nobody.
  drop(
    line,
    line.waiting.filter(({ dueAt }) => dueAt + limits.quotaPlaceKeptMs <= now),
  );
  for (const [name, gauge] of Object.entries(line.gauges))
    if (isIdle(gauge, now) && !line.waiting.some(({ under }) => under.includes(name))) delete line.gauges[name];
  for (const [model, { until }] of Object.entries(line.told)) if (until <= now) delete line.told[model];
  for (const [key, tag] of Object.entries(line.next)) if (tag <= newcomersTag(line, modelOf(key))) delete line.next[key];
  forgetModels(line);
}

/** What was given of a model long ago matters to nobody. */
function forgetModels({ gauges, waiting, given, next, learned }: Line): void {
  const known = new Set([...Object.keys(gauges), ...waiting.map(({ model }) => model)]);
  for (const record of [given, learned]) for (const model of Object.keys(record)) if (!known.has(model)) delete record[model];
  for (const key of Object.keys(next)) if (!known.has(modelOf(key))) delete next[key];
}

/** What they had not been given yet comes off their tenants' tags. */
function drop(line: Line, gone: Place[]): void {
  if (gone.length === 0) return;
  const left = new Set(gone);
  line.waiting = line.waiting.filter((place) => !left.has(place));
  const ends = new Map<string, number>();
  for (const place of line.waiting) {
    const key = shareKey(place);
    ends.set(key, Math.max(ends.get(key) ?? Number.NEGATIVE_INFINITY, place.tag + place.cost));
  }
  for (const place of gone) {
    const key = shareKey(place);
    const next = line.next[key];
    if (next !== undefined) line.next[key] = Math.max(next - place.cost, ends.get(key) ?? Number.NEGATIVE_INFINITY);
  }
}

function placeOf(line: Line, { under, ...caller }: Caller, { now, share }: Moment): Place | undefined {
  const names = under.map(({ name }) => name);
  const known = line.waiting.find(({ id }) => id === caller.id);
  if (known) return Object.assign(known, { ...caller, under: names });
  const shared = under.filter(({ isShared }) => isShared);
  const costs = (shared.length > 0 ? shared : under).flatMap(({ name }) => {
    // With what its provider has told.
    const { quota } = line.gauges[name]!;
    return [requestMs(quota, share), tokensMs(quota, caller.tokens, share)];
  });
  const cost = Math.max(0, ...costs);
  const key = shareKey(caller);
  const tag = Math.max(line.next[key] ?? Number.NEGATIVE_INFINITY, newcomersTag(line, caller.model));
  const place = { ...caller, under: names, tag, cost, dueAt: now };
  if (!makeRoom(line, place)) return undefined;
  line.next[key] = tag + cost;
  line.waiting.push(place);
  return place;
}

/** A line that is full keeps those whose turn comes first. */
function makeRoom(line: Line, { tag }: Place): boolean {
  if (line.waiting.length < limits.quotaLineMax) return true;
  const last = line.waiting.reduce((a, b) => (b.tag > a.tag ? b : a));
  if (tag >= last.tag) return false;
  drop(line, [last]);
  return true;
}

/** About when it is this one's turn; exact when nobody comes who goes first. */
function turnOf(line: Line, mine: Place, { now, share }: Moment): number {
  const fronts = new Map<string, Front>();
  const frontOf = (name: string): Front => {
    const front = fronts.get(name) ?? new Front(line.gauges[name]!, { now, share });
    fronts.set(name, front);
    return front;
  };
  for (const place of inOrder(line)) {
    const own = place.under.flatMap((name) => (line.gauges[name] ? [frontOf(name)] : []));
    const at = Math.max(now, ...own.map((front) => front.at));
    if (place === mine) return Math.max(at, ...mine.under.map((name) => roomAt(line.gauges[name]!, mine.tokens, { now, share })));
    for (const front of own) front.take(place, at);
  }
  return now;
}

/** By what their tenants have been given, counted from what all have been given of the model. */
function inOrder({ waiting, given }: Line): Place[] {
  const lead = ({ model, tag }: Place): number => tag - (given[model] ?? 0);
  return waiting.toSorted((a, b) => lead(a) - lead(b));
}

/** How far a quota is used up by those who go first. */
class Front {
  readonly #quota: Quota;
  readonly #moment: Moment;
  readonly #lateMs: number;
  #requestsAt: number;
  #tokensAt: number;
  /** Those whom another quota holds up: they are in the way only from then on. */
  readonly #later: { at: number; tokens: number }[] = [];

  constructor({ quota, requestsAt, tokensAt, closedUntil }: Gauge, moment: Moment) {
    const { now } = moment;
    this.#quota = quota;
    this.#moment = moment;
    this.#lateMs = quota.windowMs / 60;
    const opensAt = closedUntil > now ? closedUntil : 0;
    this.#requestsAt = Math.max(opensAt, earliest(requestsAt, quota, now));
    this.#tokensAt = Math.max(opensAt, earliest(tokensAt, quota, now));
  }

  get at(): number {
    for (let first = this.#later[0]; first && first.at <= this.#ownAt; first = this.#later[0]) {
      this.#later.shift();
      this.#count(first.tokens);
    }
    return this.#ownAt;
  }

  take({ tokens, dueAt }: Place, at: number): void {
    // One that is late takes its turn when it comes.
    if (dueAt < this.#moment.now - this.#lateMs) return;
    if (at <= this.#ownAt + this.#lateMs) return this.#count(tokens);
    const index = this.#later.findLastIndex((other) => other.at <= at);
    this.#later.splice(index + 1, 0, { at, tokens });
  }

  get #ownAt(): number {
    return Math.max(this.#requestsAt, this.#tokensAt);
  }

  #count(tokens: number): void {
    this.#requestsAt += requestMs(this.#quota, this.#moment.share);
    this.#tokensAt += tokensMs(this.#quota, tokens, this.#moment.share);
  }
}

/** What a tenant that has not asked of late begins with: it may catch up this much. */
function newcomersTag({ given, gauges }: Line, model: string): number {
  const { windowMs } = (gauges[model] ?? gauges[providerOf(model)])?.quota ?? unknown;
  return (given[model] ?? 0) - windowMs / 3;
}

/** The stricter of both in each. */
function narrower(quota: Quota, told: Quota | undefined): Quota {
  if (!told) return quota;
  const min = (unit: "requests" | "tokens"): Partial<Quota> => {
    const both = [quota[unit], told[unit] === undefined ? undefined : (told[unit] * quota.windowMs) / told.windowMs];
    const known = both.filter((each) => each !== undefined);
    return known.length === 0 ? {} : { [unit]: Math.min(...known) };
  };
  return { ...min("requests"), ...min("tokens"), windowMs: quota.windowMs };
}

const providerOf = (model: string): string => model.slice(0, model.indexOf("/"));

const shareKey = ({ model, tenant }: Pick<Caller, "model" | "tenant">): string => `${tenant} ${model}`;
const modelOf = (key: string): string => key.slice(key.indexOf(" ") + 1);
