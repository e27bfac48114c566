import type { Client } from "@temporalio/client";
import type { Logger } from "pino";
import type { Database } from "../prisma/client.ts";
import type { Settings } from "../settings.ts";
import type { Wakeups } from "./wakeups.ts";

/** What the API is made of; `main.ts` opens it, tests bring their own. */
export interface Deps {
  settings: Settings;
  database: Database;
  temporal: Client;
  wakeups: Wakeups;
  log: Logger;
  /** Aborted when the process ends: waits and streams end, so that connections can be closed. */
  closing: AbortSignal;
}
