import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { storedObject, storeObject } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import type { Message } from "./model-port.ts";

/** A piece of a conversation, with the pieces before it. */
interface Chunk {
  before: string | null;
  messages: Message[];
}

/**
 * Conversations of agents in the content-addressed store: a run's history holds their hashes only. A turn stores what it added, and
 * what its last chunk held before that: at most `limits.transcriptChunkBytes` again and again, so that what is stored grows with the
 * conversation, not with its square.
 */
export class Transcripts {
  readonly #database: Database;
  readonly #tenant: string;

  constructor(database: Database, tenant: string) {
    this.#database = database;
    this.#tenant = tenant;
  }

  async read(hash: string | null): Promise<Message[]> {
    const chunks: Message[][] = [];
    for (let at = hash; at !== null;) {
      const { before, messages } = (await this.load(at)) as unknown as Chunk;
      chunks.push(messages);
      at = before;
    }
    return chunks.toReversed().flat();
  }

  /** The conversation that goes on from another. Gives its hash; to store the same twice is to store it once. */
  async extend(hash: string | null, messages: Message[]): Promise<string> {
    const last = hash === null ? undefined : ((await this.load(hash)) as unknown as Chunk);
    const together = [...(last?.messages ?? []), ...messages];
    const isSmall = JSON.stringify(together).length <= limits.transcriptChunkBytes;
    const chunk: Chunk = last && !isSmall ? { before: hash, messages } : { before: last?.before ?? null, messages: together };
    return this.keep(chunk as unknown as JsonObject);
  }

  /** An object of ours, by its hash. */
  keep(value: JsonObject): Promise<string> {
    return storeObject(this.#database, this.#tenant, value);
  }

  load(hash: string): Promise<Json> {
    return storedObject(this.#database, this.#tenant, hash);
  }
}
