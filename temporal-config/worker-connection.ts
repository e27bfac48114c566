import { NativeConnection } from "@temporalio/worker";
import type { Settings } from "../settings.ts";
import { target } from "./connection.ts";

/** The worker's own connection, which lives in the SDK's native core. */
export const connectWorker = (settings: Settings): Promise<NativeConnection> =>
  // Compressing costs CPU and saves nothing where the server is near; Temporal Cloud is reached over TLS.
  NativeConnection.connect({ ...target(settings), grpcCompression: { codec: settings.TEMPORAL_TLS ? "gzip" : "none" } });
