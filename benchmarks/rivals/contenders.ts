import { mkdir } from "node:fs/promises";
import path from "node:path";
import { endChild, saysReady, startChild, untilReady, type Child } from "../../cli/child.ts";
import { inheritedEnv } from "../../cli/laptop.ts";
import { freePorts } from "../../cli/stack.ts";
import { queryOnce } from "../database.ts";
import type { Log } from "../test-bed.ts";
import { installPackages } from "./install.ts";

const rivalVersions = { dbos: "5.3.0", restateServer: "1.7.12", restateSdk: "1.17.2" } as const;

export type ComparedWorkload = "W1" | "W2";

/** Somebody who can do a workload's work. */
export interface Contender {
  name: string;
  title: string;
  /** Everything that works for it, apart from this process. */
  pids: number[];
  /** One run, from its start to its result. */
  run: (workload: ComparedWorkload) => Promise<unknown>;
  close: () => Promise<void>;
}

export interface Place {
  postgresUrl: string;
  postgresPid: number;
  stateDir: string;
  log: Log;
}

/** Its workflows run in the process that calls them, on a database of the same Postgres server. */
export async function startDbos({ postgresUrl, postgresPid, stateDir, log }: Place): Promise<Contender> {
  const folder = await installPackages("dbos", { "@dbos-inc/dbos-sdk": rivalVersions.dbos }, log);
  await queryOnce(postgresUrl, "CREATE DATABASE dbos");
  const database = Object.assign(new URL(postgresUrl), { pathname: "/dbos" }).href;
  const app = await startApp("dbos", [folder, database], stateDir);
  const waiting = new Map<number, (error: string | undefined) => void>();
  app.process.on("message", ({ id, error }: { id: number; error?: string }) => waiting.get(id)?.(error));
  let last = 0;
  const run = (workload: ComparedWorkload) =>
    new Promise<void>((done, failed) => {
      const id = ++last;
      waiting.set(id, (error) => (waiting.delete(id), error === undefined ? done() : failed(new Error(`DBOS: ${error}`))));
      app.process.send({ id, workload });
    });
  const title = `DBOS ${rivalVersions.dbos}: steps in the calling process, each recorded in Postgres`;
  return { name: "dbos", title, pids: [app.pid, postgresPid], run, close: () => endChild(app) };
}

/** A server with a log of its own, which calls a service over HTTP/2. No Postgres. */
export async function startRestate({ stateDir, log }: Place): Promise<Contender> {
  const { restateServer, restateSdk } = rivalVersions;
  const packages = { "@restatedev/restate-server": restateServer, "@restatedev/restate-sdk": restateSdk };
  const folder = await installPackages("restate", packages, log);
  const { api: service, temporal: ingress, temporalUi: admin, postgres: node } = await freePorts();
  const app = await startApp("restate", [folder, String(service)], stateDir);
  const url = `http://127.0.0.1:${ingress}/bench`;
  const server = startChild({
    name: "Restate",
    command: path.join(folder, "node_modules/@restatedev", `restate-server-${process.platform}-${process.arch}`, "bin/restate-server"),
    args: [
      "--base-dir",
      await madeFolder(path.join(stateDir, "restate")),
      "--bind-ip",
      "127.0.0.1",
      "--bind-port",
      String(node),
      "--listen-mode",
      "tcp",
    ],
    env: {
      ...inheritedEnv(),
      RESTATE_INGRESS__BIND_PORT: String(ingress),
      RESTATE_ADMIN__BIND_PORT: String(admin),
      RESTATE_DISABLE_TELEMETRY: "true",
      RESTATE_LOG_FILTER: "warn",
    },
    logFile: path.join(stateDir, "logs", "restate-server.log"),
    endWith: "SIGTERM",
  });
  const close = async () => {
    await endChild(server);
    await endChild(app);
  };
  try {
    await untilReady(
      server,
      (signal) => untilServed(`http://127.0.0.1:${admin}/deployments`, { uri: `http://127.0.0.1:${service}` }, signal),
      60_000,
    );
    await untilReady(server, (signal) => untilServed(`${url}/W1`, undefined, signal), 60_000);
  } catch (error) {
    await close();
    throw error;
  }
  const run = async (workload: ComparedWorkload) => {
    const answer = await fetch(`${url}/${workload}`, { method: "POST" });
    if (!answer.ok) throw new Error(`Restate: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  const title = `Restate ${restateServer}: its server calls a service over HTTP/2 and keeps the log itself`;
  return { name: "restate", title, pids: [server.pid, app.pid], run, close };
}

async function startApp(name: string, args: string[], stateDir: string): Promise<Child> {
  const child = startChild({
    name,
    command: process.execPath,
    args: [path.join(import.meta.dirname, `${name}-app.mjs`), ...args],
    env: inheritedEnv(),
    logFile: path.join(stateDir, "logs", `${name}.log`),
    endWith: "SIGTERM",
    ipc: true,
  });
  try {
    await untilReady(child, () => saysReady(child));
    return child;
  } catch (error) {
    await endChild(child);
    throw error;
  }
}

async function untilServed(url: string, body: object | undefined, signal: AbortSignal): Promise<void> {
  const sent = body ? { body: JSON.stringify(body), headers: { "content-type": "application/json" } } : {};
  for (;;) {
    const answer = await fetch(url, { method: "POST", ...sent, signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    if (answer?.ok) return void (await answer.arrayBuffer());
    if (signal.aborted) throw new Error(`${url} does not answer.`);
    await new Promise((later) => setTimeout(later, 200));
  }
}

async function madeFolder(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  return folder;
}
