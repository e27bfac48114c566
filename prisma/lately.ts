/** What was read lately, by key: read again after a while only, and once for all who ask for it meanwhile. */
export class Lately<Value> {
  readonly #knownMs: number;
  readonly #keysMax: number;
  readonly #known = new Map<string, { until: number; value: Promise<Value> }>();

  constructor({ knownMs, keysMax }: { knownMs: number; keysMax: number }) {
    this.#knownMs = knownMs;
    this.#keysMax = keysMax;
  }

  get(key: string, read: () => Promise<Value>): Promise<Value> {
    const known = this.#known.get(key);
    if (known && known.until > Date.now()) return known.value;
    if (this.#known.size >= this.#keysMax) this.#known.clear();
    // From before it was asked for: what the answer takes does not make it younger.
    const entry = { until: Date.now() + this.#knownMs, value: read() };
    this.#known.set(key, entry);
    entry.value.catch(() => this.#known.get(key) === entry && this.#known.delete(key));
    return entry.value;
  }
}
