import { randomUUID } from "node:crypto";
import type { Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { storable } from "./storable.ts";
import { Prisma, type Database } from "./client.ts";
import { originsOf, wasUndone } from "./origins.ts";
import { rootOfKey } from "../contracts/ids.ts";

/** Which effect: the same for every attempt, in a retry and after a reset. */
export interface EffectId {
  tenant: string;
  /** `{root run}:{step path}`, with `#2` when it is done again after it was undone. `otherwise` says when it has more. */
  key: string;
  /** Number of the call within the step. */
  call: number;
  argsHash: string;
}

/** Who opens it. */
export interface Opening extends EffectId {
  runId: string;
  path: string;
  attempt: number;
  tool: string;
  version: string;
  effect: string;
}

export interface StandingEffect extends EffectId {
  state: "open" | "done";
  token: string;
  runId: string;
  /** Whose names, of runs and moments, its arguments may hold. */
  askedBy: string;
  tool: string;
  attempt: number;
  result: Json;
  error: Problem | null;
}

/** An effect that one attempt has in hand. */
export type OpenEffect = EffectId & { token: string };

export interface Looked {
  /** Under which it is known outside, or will be. */
  key: string;
  known: StandingEffect | undefined;
  /** Calls that stand with other arguments; in a fork those of the runs it branched off from, too, the nearest first. */
  others: StandingEffect[];
}

/** What stands of an effect: this run's own rows or, in a fork, those of the runs it branched off from. */
export async function standingEffect(database: Database, id: EffectId, isUndoing: boolean): Promise<Looked> {
  const rows = await rowsOf(database, id);
  const own = rows.find(({ argsHash }) => argsHash === id.argsHash);
  const others = rows.filter((row) => row !== own && stands(row));
  if (own) return { key: own.key, known: stands(own) ? own : undefined, others };
  const key = rows.length === 0 ? id.key : otherwise(id);
  // What undoes a fork's own work has not been done for it by its origin.
  const before = isUndoing ? [] : await effectsOfOrigins(database, id);
  const known = before.find(({ argsHash }) => argsHash === id.argsHash);
  return { key, known, others: [...others, ...before.filter((row) => row !== known)] };
}

/** The first call of the step, and those with other arguments. */
const rowsOf = (database: Database, { tenant, key, call }: EffectId): Promise<StandingEffect[]> =>
  database.$queryRaw`
    SELECT ${columns} FROM effects e WHERE tenant = ${tenant} AND call = ${call} AND key = ${key}
    UNION ALL
    SELECT ${columns} FROM effects e WHERE tenant = ${tenant} AND call = ${call} AND first_key = ${key}`;

const columns = Prisma.sql`e.tenant, e.key, e.call, e.args_hash AS "argsHash", e.state, e.token, e.run_id AS "runId",
  coalesce(e.asked_by, e.run_id) AS "askedBy", e.tool, e.attempt, e.result, e.error`;

const stands = ({ state }: { state: string }): boolean => state === "open" || state === "done";

/**
 * The key of a call that was made with other arguments before: a retry whose earlier steps gave something else. Under the same key
 * the outside would answer with what it did then.
 */
const otherwise = ({ key, argsHash }: Pick<EffectId, "key" | "argsHash">): string => `${key}~${argsHash.slice(0, 16)}`;

/** Whether a row's key is that of a call, whatever its arguments. */
export const isKeyOf = (call: string, key: string): boolean => key === call || key.startsWith(`${call}~`);

/** Write the effect ahead. `instead`: the token of an open row whose effect has not happened or may happen twice. Nothing when somebody else was faster, maybe with other arguments. */
export async function openEffect(database: Database, opening: Opening, instead: string | undefined): Promise<OpenEffect | undefined> {
  const { tenant, key, call, argsHash, runId, path, tool, version, effect, attempt } = opening;
  const token = randomUUID();
  const firstKey = key.includes("~") ? key.slice(0, key.indexOf("~")) : null;
  const rows = await database.$executeRaw`
    INSERT INTO effects (tenant, key, call, args_hash, first_key, run_id, path, tool, version, effect, state, token, attempt)
    VALUES (${tenant}, ${key}, ${call}, ${argsHash}, ${firstKey}, ${runId}, ${path}, ${tool}, ${version}, ${effect}, 'open', ${token}, ${attempt})
    ON CONFLICT (tenant, key, call) DO UPDATE SET state = 'open', token = ${token}, attempt = ${attempt}, run_id = ${runId},
      asked_by = coalesce(effects.asked_by, effects.run_id), version = ${version}, opened_at = now(), ended_at = NULL, error = NULL, resolved_by = NULL
    WHERE effects.args_hash = ${argsHash} AND (effects.state NOT IN ('open', 'done') OR effects.token = ${instead ?? ""})`;
  return rows === 0 ? undefined : { tenant, key, call, argsHash, token };
}

/** Say how it ended, once; only what is discarded may have ended before. `result` as it may be kept: small, or a reference. */
export async function closeEffect(
  database: Database,
  { tenant, key, call, argsHash, token }: OpenEffect,
  end: { state: "done" | "failed" | "discarded"; result?: Json; error?: Problem; resolvedBy?: string },
): Promise<void> {
  await database.effect.updateMany({
    where: { tenant, key, call, argsHash, token, ...(end.state === "discarded" ? {} : { state: "open" }) },
    data: {
      state: end.state,
      endedAt: new Date(),
      ...(end.result === undefined
        ? {}
        : { result: end.result === null ? Prisma.JsonNull : (storable(end.result) as Prisma.InputJsonValue) }),
      ...(end.error === undefined ? {} : { error: storable(end.error as Json) as Prisma.InputJsonValue }),
      ...(end.resolvedBy === undefined ? {} : { resolvedBy: end.resolvedBy }),
    },
  });
}

/** The runs that a root's tree branched off from have the same steps under their own roots. What was undone since does not stand. */
function effectsOfOrigins(database: Database, { tenant, key, call }: EffectId): Promise<StandingEffect[]> {
  const root = rootOfKey(key);
  return database.$queryRaw`
    WITH RECURSIVE ${originsOf(tenant, root)}
    SELECT ${columns} FROM origins c CROSS JOIN LATERAL (
      SELECT * FROM effects WHERE tenant = ${tenant} AND call = ${call} AND key = c.root || ${key.slice(root.length)}
      UNION ALL
      SELECT * FROM effects WHERE tenant = ${tenant} AND call = ${call} AND first_key = c.root || ${key.slice(root.length)}) e
    WHERE c.depth > 0 AND e.state IN ('open', 'done') AND NOT ${wasUndone(tenant, effectRow)}
    ORDER BY c.depth`;
}

const effectRow = { run: Prisma.sql`e.run_id`, root: Prisma.sql`c.root`, path: Prisma.sql`e.path`, at: Prisma.sql`e.opened_at` };
