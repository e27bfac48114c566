import type { Brief, ThreadOrder } from "../contracts/agent-task.ts";
import type { Json } from "../contracts/json.ts";
import type { Database } from "../prisma/client.ts";
import { addExchange, newestExchanges, type Exchange } from "../prisma/threads.ts";
import type { EffectCall, EffectLedger } from "./effects.ts";
import type { WorkContext } from "./work.ts";

type ThreadOfTask = NonNullable<Brief["thread"]>;
/** The effect is the agent's step's, whichever of its steps does it. */
type TaskContext = Omit<WorkContext, "idempotencyKey" | "path">;

export interface Answered {
  asked: string;
  answer: Json;
  /** Hash of the task's whole conversation. */
  transcript: string;
}

/**
 * Conversations that tasks of an agent go on with. A task adds one exchange when it has its answer, as an effect of its step: the effect
 * ledger knows it in every attempt, in a retry and in a fork, whatever the model says there.
 */
export class Threads {
  readonly #database: Database;
  readonly #effects: EffectLedger;

  constructor(database: Database, effects: EffectLedger) {
    this.#database = database;
    this.#effects = effects;
  }

  /** As it stood before this task added to it, or the one that this task's run branched off from. */
  async before({ owner, name, key, path }: ThreadOfTask, context: TaskContext): Promise<Exchange[]> {
    const known = await this.#effects.known(fieldsOf(owner, name), 0, { ...context, idempotencyKey: key, path });
    const { tenant } = context;
    return newestExchanges(this.#database, { tenant, agent: owner, thread: name }, known?.output as number | undefined);
  }

  /** Once, whoever asks and how often. */
  async add(thread: ThreadOfTask, { asked, answer, transcript }: Answered, given: TaskContext): Promise<void> {
    const { owner, name, key, path } = thread;
    const context = { ...given, idempotencyKey: key, path };
    const { tenant, runId } = context;
    const answered = typeof answer === "string" ? answer : JSON.stringify(answer);
    const call: EffectCall = { tool: adding, fields: fieldsOf(owner, name), args: null, call: 0 };
    const { output, effect } = await this.#effects.once(call, context, ({ idempotencyKey }) =>
      addExchange(this.#database, { tenant, agent: owner, thread: name, key: idempotencyKey, runId, path, asked, answered, transcript }),
    );
    if (effect) await this.#effects.done(effect, output);
  }
}

const adding: EffectCall["tool"] = { name: "agent.thread", version: "1.0.0", effect: "write", idempotent: true, parse: (args) => args };

/** Nothing of what is said: the same step's exchange is the same effect. */
const fieldsOf = (agent: string, thread: ThreadOrder["name"]): EffectCall["fields"] => ({
  tool: adding.name,
  arguments: { agent, thread },
});
