import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { Settings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { dynamicConfigFlags } from "../temporal-config/dynamic-config.ts";
import { ensureSearchAttributes, searchAttributeFlags } from "../temporal-config/search-attributes.ts";
import { startChild, untilReady } from "./child.ts";
import { requireFree, untilOpen } from "./ports.ts";
import { findTemporal } from "./temporal-binary.ts";
import type { Place, Server } from "./place.ts";

/** The server that TEMPORAL_ADDRESS names, or a dev server of ours with its state in a file. */
export async function startTemporal(place: Place): Promise<Server> {
  const { settings, ports } = place;
  if (settings.TEMPORAL_ADDRESS !== undefined) return { url: settings.TEMPORAL_ADDRESS, how: "TEMPORAL_ADDRESS" };
  await requireFree("temporal", ports);
  await requireFree("temporalUi", ports);
  const { file, how } = await findTemporal(place.laptop, place.log);
  const folder = path.join(place.stateDir, "temporal");
  await mkdir(folder, { recursive: true });
  const child = startChild({
    name: "Temporal",
    command: file,
    args: serverArguments(place, path.join(folder, "temporal.db")),
    env: place.env,
    logFile: path.join(place.stateDir, "logs", "temporal.log"),
    endWith: "SIGTERM",
  });
  await place.keep(child);
  const url = `127.0.0.1:${ports.temporal}`;
  await untilReady(child, async (signal) => {
    await untilOpen(ports.temporal, signal);
    await untilServing({ ...settings, TEMPORAL_ADDRESS: url }, signal);
  });
  return { url, how: `dev server ${how}`, child };
}

// The port accepts long before the namespace and its search attributes can be used.
async function untilServing(settings: Settings, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      const client = await connectTemporal(settings);
      await ensureSearchAttributes(client);
      return await client.connection.close();
    } catch (error) {
      if (signal.aborted) throw error;
      await new Promise((later) => setTimeout(later, 50));
    }
  }
}

const serverArguments = ({ ports, settings }: Place, database: string): string[] => {
  const options = {
    ip: "127.0.0.1",
    port: ports.temporal,
    "ui-port": ports.temporalUi,
    "db-filename": database,
    namespace: settings.TEMPORAL_NAMESPACE,
    "log-level": "warn",
    "log-format": "json",
  };
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return ["server", "start-dev", ...flags, ...searchAttributeFlags(), ...dynamicConfigFlags()];
};
