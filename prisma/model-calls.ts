import type { JsonObject } from "../contracts/json.ts";
import type { ModelCallStatus, TokenUsage } from "../contracts/model-calls.ts";
import { limits } from "../contracts/limits.ts";
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
  /** What was asked, as a hash. */
  asked: string;
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

type Connection = Pick<Database, "$executeRaw" | "$queryRaw">;

/** False when the row is there already. */
export async function openCall(connection: Connection, call: OpenCall): Promise<boolean> {
  const { runId, effectKey, attempt, callIndex, execution, tenant, stepPath, effectRoot, agent, provider, model } = call;
  const { wanted, position, route, asked, startedAt, reservation, lostAt } = call;
  const count = await connection.$executeRaw`/* open_call */
    INSERT INTO model_calls (run_id, effect_key, attempt, call_index, execution, tenant, step_path, effect_root, agent, provider, model,
      wanted, position, route, asked, status, started_at, reservation, lost_at)
    VALUES (${runId}, ${effectKey}, ${attempt}, ${callIndex}, ${execution}, ${tenant}, ${stepPath}, ${effectRoot}, ${agent}, ${provider}, ${model},
      ${wanted}, ${position}, ${asJsonb(route)}, ${asked}, 'open', ${startedAt}, ${asJsonb(reservation)}, ${lostAt})
    ON CONFLICT DO NOTHING`;
  return count > 0;
}

/** What is known of a call that was closed: on whose account, and what was set aside for it. */
export interface CloseOf {
  tenant: string;
  reservation: JsonObject | null;
}

/** One in one of these states, and one for which something is set aside only when `isReserved`. Nothing when there was none. */
export async function closeCall(
  connection: Connection,
  { runId, effectKey, attempt, callIndex }: CallKey,
  { from, closed, isReserved }: { from: readonly ModelCallStatus[]; closed: ClosedCall; isReserved: boolean },
): Promise<CloseOf | undefined> {
  const { status, usage, costUsd, answer, error } = closed;
  const { inputTokens = null, outputTokens = null, cacheReadTokens = null, cacheWriteTokens = null, reasoningTokens = null } = usage ?? {};
  const [row] = await connection.$queryRaw<CloseOf[]>`/* close_call */
    UPDATE model_calls SET status = ${status}, input_tokens = ${inputTokens}, output_tokens = ${outputTokens},
      cache_read_tokens = ${cacheReadTokens}, cache_write_tokens = ${cacheWriteTokens}, reasoning_tokens = ${reasoningTokens},
      is_estimated = ${usage?.isEstimated ?? false}, cost_usd = ${costUsd}, answer = ${answer === null ? null : storable(answer)},
      error = ${asJsonb(error)}, ended_at = ${new Date()}
    WHERE run_id = ${runId} AND effect_key = ${effectKey} AND attempt = ${attempt} AND call_index = ${callIndex}
      AND status = ANY(${[...from]}) AND (reservation IS NULL OR ${isReserved})
    RETURNING tenant, reservation`;
  return row;
}

/** An answer that a run before this one was given, and paid. */
export interface EarlierAnswer {
  callIndex: number;
  position: number;
  provider: string;
  model: string;
  wanted: string;
  answer: string;
}

/**
 * The last answer to the same question under the same key, in the runs that this one tries again. None counts after which the step has
 * ended well, or by anything but a budget: what was said then was not good enough, or is to be made anew.
 */
export async function paidAnswer(
  database: Database,
  { tenant, retryOf, effectKey, asked }: Pick<OpenCall, "tenant" | "effectKey" | "asked"> & { retryOf: string },
): Promise<EarlierAnswer | undefined> {
  const [row] = await database.$queryRaw<EarlierAnswer[]>`
    WITH RECURSIVE tried(id, retry_of, depth) AS (
      SELECT id, retry_of, 0 FROM runs WHERE id = ${retryOf} AND tenant = ${tenant}
      UNION ALL
      SELECT runs.id, runs.retry_of, depth + 1 FROM tried JOIN runs ON runs.id = tried.retry_of WHERE depth < ${limits.forkChainMax})
    SELECT call_index AS "callIndex", c.position, c.provider, c.model, c.wanted, c.answer
    FROM tried JOIN model_calls c ON c.run_id = tried.id AND c.effect_key = ${effectKey} AND c.status IN ('answered', 'cached')
      JOIN steps own ON own.run_id = tried.id AND own.path = c.step_path
    WHERE c.asked = ${asked} AND NOT EXISTS (
      SELECT FROM tried later JOIN steps s ON s.run_id = later.id AND s.path = c.step_path
        CROSS JOIN generate_series(CASE WHEN later.id = c.run_id THEN c.attempt ELSE 1 END, s.attempt) AS round
        LEFT JOIN events e ON e.run_id = later.id
          AND e.identity IN (s.path || '#' || round || '/step.failed/0', s.path || '#' || round || '/step.parked/0')
      WHERE later.depth <= tried.depth AND (s.status = 'completed' OR e.data #>> '{error,code}' <> 'budget_exceeded'))
    ORDER BY depth, c.attempt DESC, call_index DESC LIMIT 1`;
  return row;
}

const asJsonb = (value: JsonObject | null): Prisma.Sql => Prisma.sql`${value === null ? null : jsonbText(value)}::jsonb`;
