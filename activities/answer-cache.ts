import type { LlmFields } from "../contracts/activities.ts";
import { type Json, type JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Database } from "../prisma/client.ts";
import { hashOf } from "../prisma/hash.ts";

export interface CachedAnswer {
  /** `provider/model` that gave it. */
  model: string;
  answer: string;
}

/** Answers that stand for the same request of the same tenant again, for as long as their step said. */
export class AnswerCache {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(tenant: string, hash: string): Promise<CachedAnswer | null> {
    const row = await this.#database.modelAnswer.findUnique({ where: { tenant_hash: { tenant, hash } } });
    return row && row.expiresAt > new Date() ? { model: row.model, answer: row.answer } : null;
  }

  /** Never rejects: an answer that is not kept is asked for again. */
  async keep(tenant: string, hash: string, { model, answer, ttlMs }: CachedAnswer & { ttlMs: number }): Promise<void> {
    if (Buffer.byteLength(answer) > limits.cachedAnswerBytesMax) return;
    const now = Date.now();
    const data = { model, answer, createdAt: new Date(now), expiresAt: new Date(now + ttlMs) };
    try {
      await this.#database.modelAnswer.upsert({
        where: { tenant_hash: { tenant, hash } },
        create: { tenant, hash, ...data },
        update: data,
      });
      await this.#makeRoom(tenant);
    } catch {
      // As the contract says.
    }
  }

  async #makeRoom(tenant: string): Promise<void> {
    await this.#database.$executeRaw`
      DELETE FROM model_answers WHERE (tenant, hash) IN (
        (SELECT tenant, hash FROM model_answers WHERE expires_at < now() LIMIT 100)
        UNION ALL
        (SELECT tenant, hash FROM model_answers WHERE tenant = ${tenant}
         ORDER BY created_at DESC OFFSET ${limits.cachedAnswersMax} LIMIT 100))`;
  }
}

/** What an answer depends on: the models, how they are to answer, the schema, and the whole conversation or, when the step gives one, its key. */
export function requestHash({ models, messages, manner, cache }: LlmFields, schema: JsonSchema | undefined): string {
  const asked = cache?.key === undefined ? { messages } : { key: cache.key };
  return hashOf({ models, schema: schema ?? null, ...(manner ? { manner } : {}), ...asked } as unknown as Json);
}
