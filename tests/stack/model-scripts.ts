import type { ModelReply, ModelServer } from "../servers/model-server.ts";
import type { Recorded } from "../servers/scripted-server.ts";

/** Answers by the model's name, so that each test has a model of its own. */
export class ModelScripts {
  readonly #answers = new Map<string, ModelReply[]>();
  readonly #calls = new Map<string, Recorded[]>();

  constructor(server: ModelServer) {
    server.answerWith(({ body, recorded }) => {
      this.#calls.set(body.model, [...this.calls(body.model), recorded]);
      return this.#answers.get(body.model)?.shift() ?? { text: `echo: ${body.messages.at(-1)?.content ?? ""}` };
    });
  }

  add(model: string, replies: ModelReply[]): void {
    this.#answers.set(model, [...(this.#answers.get(model) ?? []), ...replies]);
  }

  calls(model: string): Recorded[] {
    return this.#calls.get(model) ?? [];
  }
}
