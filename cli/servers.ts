import { migrate } from "../prisma/migrate.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { ensureSearchAttributes } from "../temporal-config/search-attributes.ts";
import type { Place, Server } from "./place.ts";
import { startPostgres } from "./postgres.ts";
import { startRedis } from "./redis.ts";
import { startTemporal } from "./temporal-server.ts";

export type ServerName = "temporal" | "postgres" | "redis";
export type Servers = Partial<Record<ServerName, Server>>;

/** All at the same time; Postgres with its tables, Temporal with our search attributes. */
export async function startServers(place: Place, names: ServerName[]): Promise<Servers> {
  const starts = {
    temporal: () => startReadyTemporal(place),
    postgres: () => startMigratedPostgres(place),
    redis: () => startRedis(place),
  };
  // All must be settled before an error is told: what is still starting could not be ended.
  const settled = await Promise.allSettled(names.map((name) => starts[name]()));
  const failed = settled.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return Object.fromEntries(names.map((name, index) => [name, (settled[index] as PromiseFulfilledResult<Server | undefined>).value]));
}

async function startReadyTemporal(place: Place): Promise<Server> {
  const server = await startTemporal(place);
  // A dev server of ours has them from its flags.
  if (server.child === undefined) {
    const client = await connectTemporal(place.settings);
    await ensureSearchAttributes(client);
    await client.connection.close();
  }
  return server;
}

async function startMigratedPostgres(place: Place): Promise<Server> {
  const server = await startPostgres(place);
  const applied = await migrate(server.url);
  if (applied.length > 0) place.log(`Migrations applied: ${applied.join(", ")}.`);
  return server;
}
