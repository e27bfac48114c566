import { nameOf, type Mail, type MailboxState } from "../contracts/agent-messages.ts";
import { limits } from "../contracts/limits.ts";

/**
 * What lies in an agent's mailbox: pure, so that it can be tried in every order.
 *
 * Each delivery counts once. Those of one sender are taken one after the other, in the order in which they came; those of
 * several at the same time.
 */
export class MailLine {
  readonly #seen: Set<string>;
  readonly #atWork: Mail[] = [];
  #waiting: Mail[];

  constructor({ waiting, seen }: MailboxState = { waiting: [], seen: [] }) {
    this.#waiting = [...waiting];
    this.#seen = new Set(seen);
  }

  /** Who goes on with it begins anew with what is at work: beginning twice is beginning once. */
  get state(): MailboxState {
    return { waiting: [...this.#atWork, ...this.#waiting], seen: [...this.#seen] };
  }

  get atWork(): readonly Mail[] {
    return this.#atWork;
  }

  get waits(): number {
    return this.#waiting.length;
  }

  receive(mails: readonly Mail[]): void {
    for (const mail of mails) {
      if (this.#seen.has(idOf(mail))) continue;
      this.#remember(idOf(mail));
      this.#waiting.push(mail);
    }
  }

  /** What may be worked at now; it is at work from then on. */
  take(): Mail[] {
    const taken: Mail[] = [];
    const busy = new Set(this.#atWork.map(senderOf));
    for (const mail of this.#waiting) {
      if (this.#atWork.length >= limits.mailboxAtWorkMax) break;
      // Who comes after one that waits for its turn waits as well.
      if (busy.has(senderOf(mail))) continue;
      busy.add(senderOf(mail));
      this.#atWork.push(mail);
      taken.push(mail);
    }
    this.#waiting = this.#waiting.filter((mail) => !taken.includes(mail));
    return taken;
  }

  done(mail: Mail): void {
    this.#atWork.splice(this.#atWork.indexOf(mail), 1);
  }

  #remember(id: string): void {
    this.#seen.add(id);
    if (this.#seen.size <= limits.mailboxSeenMax) return;
    const [oldest] = this.#seen;
    this.#seen.delete(oldest!);
  }
}

const idOf = ({ message, round }: Mail): string => `${message}#${round}`;

const senderOf = ({ sender }: Mail): string => nameOf(sender);
