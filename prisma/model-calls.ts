import type { JsonObject } from "../contracts/json.ts";
import type { ModelCallStatus, TokenUsage } from "../contracts/model-calls.ts";
import { Prisma, type Database } from "./client.ts";
import { jsonbText, storable } from "./storable.ts";

// By hand: every call of a model passes here twice, and the client's own statements cost it three times as much.

export interface CallKey {
  runId: string;
  effectKey: string;
  attempt: number;
  callIndex: number;
}

export interface OpenCall extends CallKey {
  execution: string;
  tenant: string;
  stepPath: string;
  effectRoot: string;
  agent: string | null;
  provider: string;
  model: string;
  wanted: string;
  position: number;
  route: JsonObject | null;
  startedAt: Date;
  reservation: JsonObject | null;
  lostAt: Date | null;
}

export interface ClosedCall {
  status: ModelCallStatus;
  usage: TokenUsage | null;
  costUsd: number | null;
  answer: string | null;
  error: JsonObject | null;
}

type Connection = Pick<Database, "$executeRaw">;

/** False when the row is there already. */
export async function openCall(connection: Connection, call: OpenCall): Promise<boolean> {
  const { runId, effectKey, attempt, callIndex, execution, tenant, stepPath, effectRoot, agent, provider, model } = call;
  const { wanted, position, route, startedAt, reservation, lostAt } = call;
  const count = await connection.$executeRaw`/* open_call */
    INSERT INTO model_calls (run_id, effect_key, attempt, call_index, execution, tenant, step_path, effect_root, agent, provider, model,
      wanted, position, route, status, started_at, reservation, lost_at)
    VALUES (${runId}, ${effectKey}, ${attempt}, ${callIndex}, ${execution}, ${tenant}, ${stepPath}, ${effectRoot}, ${agent}, ${provider}, ${model},
      ${wanted}, ${position}, ${asJsonb(route)}, 'open', ${startedAt}, ${asJsonb(reservation)}, ${lostAt})
    ON CONFLICT DO NOTHING`;
  return count > 0;
}

/** Of those in one of these states, and of those for which something is set aside only when `isReserved`. False when there was none. */
export async function closeCall(
  connection: Connection,
  { runId, effectKey, attempt, callIndex }: CallKey,
  { from, closed, isReserved }: { from: readonly ModelCallStatus[]; closed: ClosedCall; isReserved: boolean },
): Promise<boolean> {
  const { status, usage, costUsd, answer, error } = closed;
  const { inputTokens = null, outputTokens = null, cacheReadTokens = null, cacheWriteTokens = null, reasoningTokens = null } = usage ?? {};
  const count = await connection.$executeRaw`/* close_call */
    UPDATE model_calls SET status = ${status}, input_tokens = ${inputTokens}, output_tokens = ${outputTokens},
      cache_read_tokens = ${cacheReadTokens}, cache_write_tokens = ${cacheWriteTokens}, reasoning_tokens = ${reasoningTokens},
      is_estimated = ${usage?.isEstimated ?? false}, cost_usd = ${costUsd}, answer = ${answer === null ? null : storable(answer)},
      error = ${asJsonb(error)}, ended_at = ${new Date()}
    WHERE run_id = ${runId} AND effect_key = ${effectKey} AND attempt = ${attempt} AND call_index = ${callIndex}
      AND status = ANY(${[...from]}) AND (reservation IS NULL OR ${isReserved})`;
  return count > 0;
}

const asJsonb = (value: JsonObject | null): Prisma.Sql => Prisma.sql`${value === null ? null : jsonbText(value)}::jsonb`;
