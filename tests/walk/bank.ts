import type { Answer, Answers } from "./plain-port.ts";

interface Payment {
  isRefunded: boolean;
}

/**
 * The other side of steps named `pay` with `undo` in their `compensate`. It honours keys: what comes under a known one is answered as
 * before, and nothing happens.
 */
export class Bank {
  readonly #payments = new Map<string, Payment>();
  readonly #byPath = new Map<string, Payment[]>();
  readonly #answers = new Map<string, string>();
  /** Who was answered with a payment that had been refunded. */
  readonly #fooled: string[] = [];
  /** What the runs were told last, by path. */
  readonly #told = new Map<string, Payment>();

  /** `before` may answer for the bank. */
  answer =
    (before: (path: string) => Answer | undefined = () => undefined): Answers =>
    (path, fields, _, key = path) =>
      before(path) ?? { output: this.#ask(path, fields, key), afterMs: 1 };

  /** What is wrong: a path at which not one payment stands, or more, or another than the run was told; or any, if none shall. */
  wrong(isPaid: boolean | "perhaps"): string[] {
    const unlike = [...this.#byPath].flatMap(([path, payments]) => {
      const standing = payments.filter(({ isRefunded }) => !isRefunded).length;
      const isTold = this.#told.get(path)?.isRefunded === false;
      if (standing === (isTold ? 1 : 0) && (isPaid === "perhaps" || isTold === isPaid)) return [];
      return [`${path}: ${standing} payments stand, the run knows ${isTold ? "one" : "none"}`];
    });
    return [...unlike, ...this.#fooled];
  }

  /** How many payments were made. */
  get size(): number {
    return this.#payments.size;
  }

  #ask(path: string, fields: unknown, key: string): string {
    const answer = this.#answers.get(key) ?? this.#do(path, fields);
    this.#answers.set(key, answer);
    if (!path.endsWith("pay")) return answer;
    const payment = this.#payments.get(answer)!;
    if (payment.isRefunded) this.#fooled.push(`${key}: answered with a payment that was refunded`);
    this.#told.set(path, payment);
    return answer;
  }

  #do(path: string, fields: unknown): string {
    if (path.endsWith("pay")) return this.#pay(path);
    const { what } = (fields as { arguments: { what?: string | null } }).arguments;
    if (!path.endsWith("undo")) return path;
    // One who does not know what was paid asks for the last.
    const payment = what ? this.#payments.get(what) : this.#byPath.get(path.slice(0, -".compensate.undo".length))?.at(-1);
    if (payment) payment.isRefunded = true;
    return "refunded";
  }

  #pay(path: string): string {
    const id = `payment ${this.#payments.size}`;
    const payment = { isRefunded: false };
    this.#payments.set(id, payment);
    this.#byPath.set(path, [...(this.#byPath.get(path) ?? []), payment]);
    return id;
  }
}
