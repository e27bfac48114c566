import { setTimeout as sleep } from "node:timers/promises";
import { Fault, faults, isProblem, type Problem } from "../contracts/faults.ts";
import { canonicalJson, isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { Prisma } from "../prisma/client.ts";
import { sha256 } from "../prisma/hash.ts";
import { problemHeaders, problemOf } from "./problem.ts";
import type { Answer, Call, Route } from "./route.ts";

/** How long a twin waits for the first request's answer. */
const TWIN_WAIT_MS = limits.updateDeadlineMs;
/** A first request without answer for so long died with its process. */
const STALE_MS = 60_000;

/**
 * Run a POST once per Idempotency-Key. The first answer is kept and comes back for the same body, also a refusal or a 500;
 * another body is `idempotency_mismatch`. Only answers that say "try again" are forgotten: a retry must be able to do it. Some of those come
 * after the deed, and a process may die between the two: handlers name what they do by the key, so that done again it is done once.
 */
export async function once(route: Route, call: Call, act: () => Promise<Answer>): Promise<Answer> {
  if (route.idempotency !== "table" || call.idempotencyKey === undefined) return act();
  const slot = slotOf(route, call, call.idempotencyKey);
  const deadline = Date.now() + TWIN_WAIT_MS;
  for (;;) {
    if (await claim(call, slot)) return perform(route, call, { slot, act });
    const earlier = await readSlot(call, slot);
    if (earlier) return replay(route, call, earlier);
    if (Date.now() >= deadline || call.signal.aborted)
      throw new Fault("conflict", "A request with this Idempotency-Key is still being answered; ask again in a second.");
    await sleep(100);
  }
}

interface Slot {
  where: { tenant_route_key: { tenant: string; route: string; key: string } };
  requestHash: string;
}

interface Kept {
  status: number;
  body: Json;
  headers: Record<string, string>;
}

function slotOf(route: Route, call: Call, key: string): Slot {
  const path = call.request.path;
  const { name, kind } = call.caller.principal;
  // With who asked: nobody is shown, or bound by, what another was answered.
  const mark = canonicalJson([name, kind, call.request.get("Content-Type") ?? "", (call.body ?? null) as Json]);
  return { where: { tenant_route_key: { tenant: call.caller.tenant, route: `${route.id} ${path}`, key } }, requestHash: sha256(mark) };
}

async function claim({ deps }: Call, { where, requestHash }: Slot): Promise<boolean> {
  const id = where.tenant_route_key;
  const made = await deps.database.idempotencyKey.createMany({ data: [{ ...id, requestHash }], skipDuplicates: true });
  if (made.count === 1) return true;
  const abandoned = { status: null, createdAt: { lt: new Date(Date.now() - STALE_MS) } };
  const expired = { createdAt: { lt: new Date(Date.now() - limits.idempotencyKeepMs) } };
  // Whoever moves `createdAt` first holds it: the others no longer match.
  const taken = await deps.database.idempotencyKey.updateMany({
    where: { ...id, OR: [{ ...abandoned, requestHash }, expired] },
    data: { requestHash, status: null, body: Prisma.DbNull, createdAt: new Date() },
  });
  return taken.count === 1;
}

async function readSlot({ deps }: Call, { where, requestHash }: Slot): Promise<Kept | undefined> {
  const row = await deps.database.idempotencyKey.findUnique({ where });
  if (!row) return undefined;
  if (row.requestHash !== requestHash)
    throw new Fault("idempotency_mismatch", "This Idempotency-Key was used for another request; take a new one.");
  if (row.status === null || !isObject(row.body)) return undefined;
  const { text, headers } = row.body as { text: string; headers: Record<string, string> };
  return { status: row.status, body: JSON.parse(text) as Json, headers };
}

async function perform(route: Route, call: Call, { slot, act }: { slot: Slot; act: () => Promise<Answer> }): Promise<Answer> {
  const answer = await act().catch((error: unknown) => problemAnswer(call, error));
  if (answer === "streamed") return answer;
  const { database, log } = call.deps;
  try {
    if (asksToRetry(answer.body)) await database.idempotencyKey.delete({ where: slot.where });
    else await database.idempotencyKey.update({ where: slot.where, data: { status: answer.status, body: keepable(route, answer) } });
  } catch (error) {
    // The work is done; a twin runs into the conflict until the row counts as abandoned.
    log.warn({ err: error, requestId: call.requestId }, "first answer could not be kept");
  }
  return answer;
}

function replay(route: Route, call: Call, kept: Kept): Answer {
  const body = route.revive && kept.status < 400 ? route.revive(kept.body, call) : kept.body;
  return { status: kept.status, body, headers: { ...kept.headers, "Idempotency-Replayed": "true" } };
}

// A route that revives names what it adds again; until then the secret is left out.
function keepable(route: Route, answer: Exclude<Answer, "streamed">): JsonObject {
  const body =
    route.revive && isObject(answer.body)
      ? Object.fromEntries(Object.entries(answer.body).filter(([name]) => name !== "key"))
      : answer.body;
  // As text: jsonb would give the fields back in another order, and the bytes shall be the same.
  return { text: JSON.stringify(body ?? null), headers: answer.headers ?? {} };
}

function problemAnswer(call: Call, error: unknown): Exclude<Answer, "streamed"> {
  const problem = problemOf(error, { log: call.deps.log, requestId: call.requestId, instance: call.request.path });
  return { status: problem.status, body: problem as Json, headers: problemHeaders(problem) };
}

const asksToRetry = (body: Json | undefined): boolean => isProblem(body) && faults[(body as Problem).code].retryable;
