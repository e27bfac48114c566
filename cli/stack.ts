import type { ChildProcess } from "node:child_process";
import type { Settings } from "../settings.ts";
import { findApiKey } from "./api-key.ts";
import { endChild, type Child } from "./child.ts";
import { inheritedEnv, readLaptop } from "./laptop.ts";
import { lockStateDir } from "./orphans.ts";
import type { Place } from "./place.ts";
import { requireFree, type StackPorts } from "./ports.ts";
import { makeRole, type Role, type RoleName } from "./roles.ts";
import { startServers, type ServerName, type Servers } from "./servers.ts";
import { workflowBundle } from "./workflow-bundle.ts";

export { freePorts, type StackPorts } from "./ports.ts";

export type PartName = ServerName | "api" | "worker";

export interface StackOptions {
  settings: Settings;
  ports: StackPorts;
  stateDir: string;
  /** Absent: everything. */
  only?: PartName[];
  /** For API and worker, on top of what the stack sets. */
  env?: Record<string, string>;
  /** Start API and worker again when they end by themselves. */
  keepAlive?: boolean;
  log: (line: string) => void;
}

export interface Stack {
  apiUrl: string;
  apiKey: string;
  temporalAddress: string;
  temporalUiUrl: string;
  databaseUrl: string;
  redisUrl: string | undefined;
  parts: { name: string; how: string; pid?: number }[];
  /** The newest of each. */
  api: ChildProcess | undefined;
  worker: ChildProcess | undefined;
  /** Another one; ready when the promise resolves. */
  startApi(): Promise<ChildProcess>;
  startWorker(): Promise<ChildProcess>;
  stop(): Promise<void>;
}

/**
 * Find or start everything that a run needs: servers at the same time, then the tables, then API and worker.
 * What was started is ended by `stop()`, when this process exits, or, after a kill -9, by the next start in the same state directory.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { stateDir, log, only = allParts } = options;
  const lock = await lockStateDir(stateDir, log);
  const children: Child[] = [];
  const keep = async (child: Child) => {
    children.push(child);
    await lock.add(child);
  };
  const lastResort = () => children.forEach((child) => child.process.kill(child.spec.endWith));
  process.once("exit", lastResort);
  const place: Place = { ...options, laptop: readLaptop(), env: inheritedEnv(), keep };
  const end = async (roles: Role[]) => {
    roles.forEach((role) => role.retire());
    await endInOrder(children);
    process.off("exit", lastResort);
    lock.release();
  };
  try {
    const names = serverNames.filter((name) => only.includes(name));
    const building = only.includes("worker") ? bundleFor(options) : Promise.resolve(undefined);
    const [servers, bundle] = await Promise.all([startServers(place, names), building]);
    return await startRoles({ ...options, only, place, servers, bundle, end });
  } catch (error) {
    await end([]);
    throw error;
  }
}

const serverNames: ServerName[] = ["temporal", "postgres", "redis"];
const allParts: PartName[] = [...serverNames, "api", "worker"];

// A bundle that cannot be built is the worker's to tell: it fails in the same way, with its log.
const bundleFor = ({ settings, stateDir }: StackOptions): Promise<string | undefined> =>
  settings.TENUTO_WORKFLOW_BUNDLE === undefined
    ? workflowBundle(stateDir).catch(() => undefined)
    : Promise.resolve(settings.TENUTO_WORKFLOW_BUNDLE);

interface Prepared extends StackOptions {
  only: PartName[];
  place: Place;
  servers: Servers;
  bundle: string | undefined;
  end: (roles: Role[]) => Promise<void>;
}

async function startRoles(prepared: Prepared): Promise<Stack> {
  const { settings, ports, stateDir, log, only, place, servers, end } = prepared;
  const facts = {
    apiUrl: `http://127.0.0.1:${ports.api}`,
    apiKey: findApiKey(stateDir, settings.TENUTO_API_KEY, log),
    temporalAddress: servers.temporal?.url ?? "",
    temporalUiUrl: settings.TEMPORAL_UI_URL ?? `http://127.0.0.1:${ports.temporalUi}`,
    databaseUrl: servers.postgres?.url ?? "",
    redisUrl: servers.redis?.url,
  };
  const bundle = prepared.bundle === undefined ? {} : { TENUTO_WORKFLOW_BUNDLE: prepared.bundle };
  const env = { ...place.env, ...roleEnv(facts, prepared), ...bundle, ...prepared.env };
  const role = (name: RoleName) => makeRole(name, { stateDir, env, keep: place.keep, keepAlive: prepared.keepAlive ?? false, log });
  const roles = { api: role("API"), worker: role("worker") };
  const stack: Stack = {
    ...facts,
    parts: Object.entries(servers).map(([name, server]) => ({ name, how: server.how, pid: server.child?.pid })),
    get api() {
      return roles.api.child?.process;
    },
    get worker() {
      return roles.worker.child?.process;
    },
    startApi: async () => (await roles.api.start()).process,
    startWorker: async () => (await roles.worker.start()).process,
    stop: once(() => end(Object.values(roles))),
  };
  await startWanted(stack, only, ports).catch((error: unknown) => {
    // What ends from now on shall not be started again.
    Object.values(roles).forEach((each) => each.retire());
    throw error;
  });
  return stack;
}

async function startWanted(stack: Stack, only: PartName[], ports: StackPorts): Promise<void> {
  if (only.includes("api")) await requireFree("api", ports);
  const starts = [...(only.includes("api") ? [stack.startApi()] : []), ...(only.includes("worker") ? [stack.startWorker()] : [])];
  const failed = (await Promise.allSettled(starts)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  if (stack.api) stack.parts.push({ name: "api", how: "child process", pid: stack.api.pid });
  if (stack.worker) stack.parts.push({ name: "worker", how: "child process", pid: stack.worker.pid });
}

const roleEnv = (
  facts: Pick<Stack, "apiKey" | "temporalAddress" | "temporalUiUrl" | "databaseUrl" | "redisUrl">,
  options: StackOptions,
) => ({
  PORT: String(options.ports.api),
  TENUTO_STATE_DIR: options.stateDir,
  TENUTO_API_KEY: facts.apiKey,
  TEMPORAL_ADDRESS: facts.temporalAddress,
  TEMPORAL_UI_URL: facts.temporalUiUrl,
  DATABASE_URL: facts.databaseUrl,
  // Empty counts as absent: a REDIS_URL of the environment must not come through when the stack has none.
  REDIS_URL: facts.redisUrl ?? "",
});

/** Who needs others ends before them: API and worker, then Temporal, then the stores. */
async function endInOrder(children: Child[]): Promise<void> {
  const rank = (child: Child) => ["Temporal", "Redis", "Postgres"].indexOf(child.spec.name);
  for (const wave of [[-1], [0], [1, 2]]) {
    await Promise.all(children.filter((child) => wave.includes(rank(child))).map((child) => endChild(child)));
  }
}

function once<Answer>(action: () => Promise<Answer>): () => Promise<Answer> {
  let answer: Promise<Answer> | undefined;
  return () => (answer ??= action());
}

/** Resolves at Ctrl-C, at SIGTERM, and when the process that started this one is gone. */
export const untilTold = (): Promise<void> =>
  new Promise((told) => {
    for (const event of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.once(event as "disconnect", () => told());
    // From now on a second Ctrl-C must not cut the orderly end short.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  });
