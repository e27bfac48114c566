import type { ModelReply } from "../servers/model-reply.ts";
import type { ModelServer } from "../servers/model-server.ts";
import type { Recorded } from "../servers/scripted-server.ts";

/** Answers by the model's name, so that each test has a model of its own. */
export class ModelScripts {
  readonly #answers = new Map<string, ModelReply[]>();
  readonly #due = new Map<string, number[]>();
  readonly #calls = new Map<string, Recorded[]>();

  constructor(server: ModelServer) {
    server.answerWith(({ body, recorded }) => {
      this.#calls.set(body.model, [...this.calls(body.model), recorded]);
      const reply = this.#answers.get(body.model)?.shift() ?? { text: `echo: ${body.messages.at(-1)?.content ?? ""}` };
      this.#due.set(body.model, [...(this.#due.get(body.model) ?? []), Date.now() + (reply.delayMs ?? 0)]);
      return reply;
    });
  }

  add(model: string, replies: ModelReply[]): void {
    this.#answers.set(model, [...(this.#answers.get(model) ?? []), ...replies]);
  }

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
