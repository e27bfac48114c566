import { randomInt } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { Connection, isGrpcServiceError } from "@temporalio/client";
import { endChild, startChild, untilReady, type Child } from "../../cli/child.ts";
import { inheritedEnv } from "../../cli/laptop.ts";
import { isFree } from "../../cli/ports.ts";
import { run } from "../../cli/programs.ts";
import { dynamicConfigYaml } from "../../temporal-config/dynamic-config.ts";
import { queryOnce } from "../database.ts";
import type { Log } from "../test-bed.ts";
import { installGoPrograms } from "./install.ts";

export const fullTemporalVersion = "1.32.0";

export interface FullTemporal {
  address: string;
  child: Child;
}

/** Temporal's full server, all four services in one process, with its two databases on the Postgres server of that URL. */
export async function startFullTemporal(postgresUrl: string, stateDir: string, log: Log): Promise<FullTemporal> {
  const modules = ["go.temporal.io/server/cmd/server", "go.temporal.io/server/cmd/tools/sql"];
  const programs = await installGoPrograms("temporal-server", { modules, version: fullTemporalVersion }, log);
  for (const [database, schema] of Object.entries(schemas)) {
    await queryOnce(postgresUrl, `CREATE DATABASE ${database}`);
    const tool = (...args: string[]) => run(path.join(programs, "sql"), [...endpointOf(postgresUrl), "--database", database, ...args]);
    await tool("setup-schema", "--version", "0.0");
    await tool("update-schema", "--schema-name", schema);
  }
  const ports = await servicePorts();
  const [configFile, dynamicConfigFile] = ["temporal.yaml", "dynamic-config.yaml"].map((name) => path.join(stateDir, name)) as [
    string,
    string,
  ];
  await writeFile(dynamicConfigFile, dynamicConfigYaml());
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(configOf(postgresUrl, ports, dynamicConfigFile)));
  const child = startChild({
    name: "Temporal (full server)",
    command: path.join(programs, "server"),
    args: ["--config-file", configFile, "--allow-no-auth", "start"],
    env: { ...inheritedEnv(), GOGC: "400" },
    logFile: path.join(stateDir, "logs", "full-temporal.log"),
    endWith: "SIGTERM",
  });
  const address = `127.0.0.1:${ports.frontend.grpcPort}`;
  try {
    await untilReady(child, (signal) => registerNamespace(address, signal), 90_000);
    return { address, child };
  } catch (error) {
    await endChild(child);
    throw error;
  }
}

const schemas = { temporal: "postgresql/v12/temporal", temporal_visibility: "postgresql/v12/visibility" };

function endpointOf(postgresUrl: string): string[] {
  const { hostname, port, username, password } = new URL(postgresUrl);
  return [
    "--plugin",
    "postgres12_pgx",
    "--endpoint",
    hostname,
    "--port",
    port,
    "--user",
    username,
    "--password",
    decodeURIComponent(password),
  ];
}

const services = ["frontend", "history", "matching", "worker"] as const;
type Ports = Record<(typeof services)[number], { grpcPort: number; membershipPort: number }>;

// The server keeps its ports as int2 in Postgres: those that the system gives away are too high.
async function servicePorts(): Promise<Ports> {
  const ports: number[] = [];
  for (let port = randomInt(10_000, 30_000); ports.length < 2 * services.length; port++) if (await isFree(port)) ports.push(port);
  return Object.fromEntries(
    services.map((service, index) => [service, { grpcPort: ports[2 * index]!, membershipPort: ports[2 * index + 1]! }]),
  ) as Ports;
}

function configOf(postgresUrl: string, ports: Ports, dynamicConfigFile: string): object {
  const { host, username, password } = new URL(postgresUrl);
  const store = (databaseName: string, maxConns: number) => ({
    sql: {
      pluginName: "postgres12_pgx",
      databaseName,
      connectAddr: host,
      connectProtocol: "tcp",
      user: username,
      password: decodeURIComponent(password),
      maxConns,
      maxIdleConns: maxConns,
      maxConnLifetime: "1h",
    },
  });
  const initialFailoverVersion = 1;
  return {
    log: { stdout: true, level: "warn" },
    persistence: {
      defaultStore: "default",
      visibilityStore: "visibility",
      numHistoryShards: 4,
      datastores: { default: store("temporal", 20), visibility: store("temporal_visibility", 10) },
    },
    global: { membership: { maxJoinDuration: "30s", broadcastAddress: "127.0.0.1" } },
    services: Object.fromEntries(Object.entries(ports).map(([service, rpc]) => [service, { rpc: { ...rpc, bindOnLocalHost: true } }])),
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: "active",
      currentClusterName: "active",
      clusterInformation: {
        active: { enabled: true, initialFailoverVersion, rpcName: "frontend", rpcAddress: `127.0.0.1:${ports.frontend.grpcPort}` },
      },
    },
    dcRedirectionPolicy: { policy: "noop" },
    dynamicConfigClient: { filepath: dynamicConfigFile, pollInterval: "60s" },
  };
}

async function registerNamespace(address: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: "2s" });
      const { workflowService } = connection;
      // The server's seconds are a Long of protobufjs, which takes this shape as well.
      const seconds = { low: 86_400, high: 0, unsigned: false } as never;
      await workflowService.registerNamespace({ namespace: "default", workflowExecutionRetentionPeriod: { seconds } }).catch(ignoreThere);
      await workflowService.describeNamespace({ namespace: "default" });
      await connection.operatorService.listSearchAttributes({ namespace: "default" });
      return await connection.close();
    } catch (error) {
      if (signal.aborted) throw error;
      await new Promise((later) => setTimeout(later, 500));
    }
  }
}

function ignoreThere(error: unknown): void {
  if (!isGrpcServiceError(error) || error.code !== 6) throw error;
}
