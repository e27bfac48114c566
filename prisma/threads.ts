import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { audit } from "./audit.ts";
import type { Database, Prisma } from "./client.ts";
import type { MemoryOwner } from "./memories.ts";
import { storable } from "./storable.ts";

/** A conversation that tasks of an agent go on with. */
export interface ThreadId extends MemoryOwner {
  thread: string;
}

export interface NewExchange extends ThreadId {
  /** Of the step: added twice under one key, it is added once. */
  key: string;
  runId: string;
  path: string;
  asked: string;
  answered: string;
  /** Hash of the task's whole conversation. */
  transcript: string;
}

export type Exchange = Prisma.ExchangeGetPayload<object>;

/** Gives its number: one more than that of the newest there ever was. The oldest ones of a long thread go. */
export async function addExchange(database: Database, exchange: NewExchange): Promise<number> {
  const { tenant, agent, thread, key } = exchange;
  return database.$transaction(async (transaction) => {
    await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${JSON.stringify(["thread", tenant, agent, thread])}, 0))`;
    const known = await transaction.exchange.findUnique({ where: { tenant_key: { tenant, key } } });
    if (known) return known.number;
    const number = await nextNumber(transaction, exchange);
    const [asked, answered] = [clipped(exchange.asked), clipped(exchange.answered)];
    await transaction.exchange.create({ data: { ...exchange, asked, answered, number } });
    await transaction.exchange.deleteMany({ where: { tenant, agent, thread, number: { lte: number - limits.threadExchangesMax } } });
    return number;
  });
}

async function nextNumber(transaction: Prisma.TransactionClient, { tenant, agent, thread }: ThreadId): Promise<number> {
  const where = { tenant_agent_thread: { tenant, agent, thread } };
  const create = { tenant, agent, thread, newest: 1 };
  return (await transaction.threadNumber.upsert({ where, create, update: { newest: { increment: 1 } } })).newest;
}

/** The newest ones, oldest first; `before`: of those that came before this one. */
export async function newestExchanges(database: Database, { tenant, agent, thread }: ThreadId, before?: number): Promise<Exchange[]> {
  const where = { tenant, agent, thread, ...(before === undefined ? {} : { number: { lt: before } }) };
  const rows = await database.exchange.findMany({ where, orderBy: { number: "desc" }, take: limits.threadExchangesRead });
  return rows.toReversed();
}

export interface ThreadRow {
  thread: string;
  /** Number of the newest. */
  exchanges: number;
  lastAt: Date;
}

/** By name. */
export async function threadsOf(
  database: Database,
  owner: MemoryOwner,
  { after, take }: { after: string | undefined; take: number },
): Promise<ThreadRow[]> {
  const rows = await database.exchange.groupBy({
    by: ["thread"],
    where: { tenant: owner.tenant, agent: owner.agent, ...(after === undefined ? {} : { thread: { gt: after } }) },
    _max: { number: true, at: true },
    orderBy: { thread: "asc" },
    take,
  });
  return rows.map(({ thread, _max }) => ({ thread, exchanges: _max.number!, lastAt: _max.at! }));
}

/** Faults: `not_found`. What runs were told of it stands in those runs. How far it has counted stays. */
export async function removeThread(database: Database, { tenant, agent, thread }: ThreadId, by: string, requestId: string): Promise<void> {
  await database.$transaction(async (transaction) => {
    const { count } = await transaction.exchange.deleteMany({ where: { tenant, agent, thread } });
    if (count === 0) throw new Fault("not_found", `${agent} has no thread ${thread}.`);
    await audit(transaction, { tenant, actor: by, action: "thread.removed", object: agent, data: { thread, count }, requestId });
  });
}

/** Its text; the whole stands in the task's run. */
function clipped(text: string): string {
  const rest = text.length - limits.exchangeTextMax;
  return storable(rest <= 0 ? text : `${text.slice(0, limits.exchangeTextMax)}\n[${rest} more characters were left out]`);
}
