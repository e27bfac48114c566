import type { JsonObject } from "../contracts/json.ts";
import type { Database } from "./client.ts";

export interface AuditEntry {
  tenant: string;
  /** A principal's name, or the part of the platform that acted by itself. */
  actor: string;
  /** `run.pause`, `definition.paused`. */
  action: string;
  /** What it was done to: a run's id, a workflow's name; "" for the tenant. */
  object: string;
  data: JsonObject;
  requestId?: string;
}

/** Who did what: one more row, for good. Gives its number. Inside a transaction it stands or falls with what was done. */
export async function audit(database: Pick<Database, "audit">, { requestId, ...entry }: AuditEntry): Promise<bigint> {
  const { id } = await database.audit.create({ data: { ...entry, requestId: requestId ?? null }, select: { id: true } });
  return id;
}
