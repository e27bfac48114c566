/** Thrown where a scope was cancelled: nothing catches it but the one who cancelled. */
export class Canceled extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "Canceled";
  }
}

/**
 * Cancellation, as a tree of our own: the walk means the same thing on Temporal and in a plain test.
 * Temporal's scopes hang below it (`temporal-port.ts`), never above.
 */
export class Scope {
  #listeners = new Set<(reason: string) => void>();
  #reason: string | undefined;

  get isCanceled(): boolean {
    return this.#reason !== undefined;
  }

  /** Why it was cancelled. */
  get reason(): string | undefined {
    return this.#reason;
  }

  cancel(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener(reason);
  }

  /** Called once when the scope is cancelled, at once when it already is. Gives the way to unsubscribe. */
  onCancel(listener: (reason: string) => void): () => void {
    if (this.#reason !== undefined) listener(this.#reason);
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  throwIfCanceled(): void {
    if (this.#reason !== undefined) throw new Canceled(this.#reason);
  }

  /** A scope that is cancelled with this one. It lives as long as this one does. */
  below(): Scope {
    const inner = new Scope();
    this.onCancel((reason) => inner.cancel(reason));
    return inner;
  }

  /** Run in a scope of its own that is cancelled with this one. */
  async within<T>(run: (inner: Scope) => Promise<T>): Promise<T> {
    const inner = new Scope();
    const release = this.onCancel((reason) => inner.cancel(reason));
    try {
      return await run(inner);
    } finally {
      release();
    }
  }

  /** A promise for something outside the walk's control: settles with it, or with Canceled when the scope goes first. */
  async guard<T>(open: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void): Promise<T> {
    let close: (() => void) | undefined;
    let release: (() => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        release = this.onCancel((reason) => {
          // At once: what comes after the cancel is not for this one.
          close?.();
          close = undefined;
          reject(new Canceled(reason));
        });
        if (!this.isCanceled) close = open(resolve, reject);
      });
    } finally {
      release?.();
      close?.();
    }
  }
}
