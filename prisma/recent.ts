/** Texts by key, up to so many bytes: those that were used last. */
export class Recent {
  readonly #bytesMax: number;
  /** The one that was used longest ago comes first. */
  readonly #texts = new Map<string, { text: string; bytes: number }>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): string | undefined {
    const entry = this.#texts.get(key);
    if (!entry) return undefined;
    this.#texts.delete(key);
    this.#texts.set(key, entry);
    return entry.text;
  }

  set(key: string, text: string): void {
    this.#forget(key);
    const bytes = Buffer.byteLength(text);
    if (bytes > this.#bytesMax) return;
    this.#texts.set(key, { text, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#texts.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#texts.get(key)?.bytes ?? 0;
    this.#texts.delete(key);
  }
}
