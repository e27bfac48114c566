import type { ModelReply, ModelRequestBody } from "../servers/model-reply.ts";
import { obey, OBEYS } from "../servers/obeying-model.ts";
import type { ModelServer } from "../servers/model-server.ts";
import type { Recorded } from "../servers/scripted-server.ts";

/** Answers by the model's name, so that each test has a model of its own. */
export class ModelScripts {
  readonly #answers = new Map<string, ModelReply[]>();
  readonly #due = new Map<string, number[]>();
  readonly #calls = new Map<string, Recorded[]>();
  readonly #held = new Map<string, (() => void)[]>();

  constructor(server: ModelServer) {
    server.answerWith(({ body, recorded }) => {
      this.#calls.set(body.model, [...this.calls(body.model), recorded]);
      const reply = this.#answers.get(body.model)?.shift() ?? (body.model.startsWith(OBEYS) ? obey(body) : echo(body));
      this.#due.set(body.model, [...(this.#due.get(body.model) ?? []), Date.now() + (reply.delayMs ?? 0)]);
      return reply;
    });
  }

  add(model: string, replies: ModelReply[]): void {
    this.#answers.set(model, [...(this.#answers.get(model) ?? []), ...replies]);
  }

  /** The next answer, a stream, is held back until it is released, and its second half until it is released again. */
  hold(model: string, reply: ModelReply): void {
    const releases: (() => void)[] = [];
    const [until, halfUntil] = [1, 2].map(() => new Promise<void>((release) => releases.push(release)));
    this.#held.set(model, releases);
    this.add(model, [{ ...reply, until: until!, halfUntil: halfUntil! }]);
  }

  release = (model: string): void => this.#held.get(model)!.shift()!();

  /** Resolves when an answer has been sent and whoever waited for it has had time to try and keep it. */
  async answered(model: string, times: number): Promise<void> {
    const answered = (): number | undefined => this.#due.get(model)?.[times - 1];
    while (answered() === undefined) await new Promise((later) => setTimeout(later, 5));
    const due = answered()!;
    await new Promise((later) => setTimeout(later, Math.max(0, due + 500 - Date.now())));
  }

  calls(model: string): Recorded[] {
    return this.#calls.get(model) ?? [];
  }
}

const echo = ({ messages }: ModelRequestBody): ModelReply => ({ text: `echo: ${messages.at(-1)?.content ?? ""}` });
