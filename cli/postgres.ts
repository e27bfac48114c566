import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { chown, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { PrismaPg } from "@prisma/adapter-pg";
import { startChild, untilReady, type Child } from "./child.ts";
import { commandLineOf } from "./orphans.ts";
import { requireFree } from "./ports.ts";
import { postgresHome, type PostgresHome } from "./postgres-home.ts";
import { run } from "./programs.ts";
import type { Place, Server } from "./place.ts";

/**
 * The server that DATABASE_URL names, or one of ours from the programs that npm brought.
 * The programs are run directly: the library round them ends them from an exit hook of its own, in no order.
 */
export async function startPostgres(place: Place): Promise<Server> {
  const { settings, ports } = place;
  if (settings.DATABASE_URL !== undefined) return { url: settings.DATABASE_URL, how: "DATABASE_URL" };
  const home = await postgresHome(place);
  await endServerOf(home.data);
  await requireFree("postgres", ports);
  const password = await initialise(home, place);
  const child = startServer(home, place);
  await place.keep(child);
  const url = (database: string) => `postgresql://tenuto:${password}@127.0.0.1:${ports.postgres}/${database}`;
  await untilReady(child, (signal) => ensureDatabase(url("postgres"), "tenuto", signal));
  return { url: url("tenuto"), how: `embedded, data in ${home.data}`, child };
}

/** Make the data directory if there is none. Gives the password, which lies beside it. */
async function initialise(home: PostgresHome, place: Place): Promise<string> {
  const passwordFile = path.join(home.root, "password");
  if (existsSync(path.join(home.data, "PG_VERSION"))) return (await readFile(passwordFile, "utf8")).trim();
  place.log("Making a Postgres data directory …");
  const password = randomBytes(24).toString("base64url");
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (home.uid !== undefined) await chown(passwordFile, home.uid, home.gid!);
  // Made under another name: a start that was killed half-way must not leave a half directory behind.
  const draft = `${home.data}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  if (home.uid !== undefined) await chown(draft, home.uid, home.gid!);
  const options = ["--username=tenuto", `--pwfile=${passwordFile}`, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"];
  await run(home.initdb, [`--pgdata=${draft}`, ...options], { uid: home.uid, gid: home.gid, env: place.env });
  await rename(draft, home.data);
  return password;
}

// After a kill -9 of everything our old server may still run; after a crash of the machine the number in its file
// may belong to someone else by now, and Postgres would refuse to start for fear of them.
async function endServerOf(data: string): Promise<void> {
  const file = path.join(data, "postmaster.pid");
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, "utf8").split("\n")[0]);
  if ((await commandLineOf(pid)).includes(data)) {
    process.kill(pid, "SIGINT");
    while ((await commandLineOf(pid)).includes(data)) await new Promise((later) => setTimeout(later, 50));
  }
  rmSync(file, { force: true });
}

function startServer(home: PostgresHome, { ports, env, stateDir }: Place): Child {
  const options = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    port: ports.postgres,
    max_connections: 200,
    lc_messages: "C",
  };
  return startChild({
    name: "Postgres",
    command: home.postgres,
    args: ["-D", home.data, ...Object.entries(options).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    env,
    logFile: path.join(stateDir, "logs", "postgres.log"),
    // "Fast": break connections off, write everything, end.
    endWith: "SIGINT",
    uid: home.uid,
    gid: home.gid,
  });
}

/** Create the database if it is missing; asked again for as long as the server is still starting. */
async function ensureDatabase(serverUrl: string, name: string, signal: AbortSignal): Promise<void> {
  const adapter = await new PrismaPg({ connectionString: serverUrl, max: 1 }).connect();
  const pool = adapter.underlyingDriver();
  try {
    const { rowCount } = await untilAnswered(() => pool.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]), signal);
    if (rowCount === 0) await pool.query(`CREATE DATABASE "${name}"`);
  } finally {
    await adapter.dispose();
  }
}

async function untilAnswered<Answer>(ask: () => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      // Not listening yet, or listening and still reading its log.
      if (!["ECONNREFUSED", "57P03"].includes(String((error as { code?: unknown }).code))) throw error;
      await new Promise((later) => setTimeout(later, 30));
    }
  }
}
