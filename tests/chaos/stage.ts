import type { Client } from "@temporalio/client";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { readSettings } from "../../settings.ts";
import { connectTemporal } from "../../temporal-config/connection.ts";
import type { LedgerServer } from "../servers/ledger-server.ts";
import type { Parts } from "../stack/parts.ts";
import type { TestStack } from "../stack/test-stack.ts";

/** Where campaigns play: the parts that they break, and the three books that are compared afterwards. */
export interface Stage {
  apiUrl: string;
  apiKey: string;
  redisUrl: string;
  parts: Parts;
  ledger: LedgerServer;
  database: Database;
  temporal: Client;
  close(): Promise<void>;
}

export async function openStage({ stack, parts, ledger }: Pick<TestStack, "stack" | "parts" | "ledger">): Promise<Stage> {
  const database = openDatabase(stack.databaseUrl);
  const temporal = await connectTemporal(readSettings({ TEMPORAL_ADDRESS: stack.temporalAddress }));
  return {
    apiUrl: stack.apiUrl,
    apiKey: stack.apiKey,
    redisUrl: stack.redisUrl!,
    parts,
    ledger,
    database,
    temporal,
    async close() {
      await Promise.allSettled([database.$disconnect(), temporal.connection.close()]);
    },
  };
}
