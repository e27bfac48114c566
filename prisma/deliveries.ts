import type { Answer, Mail, Party } from "../contracts/agent-messages.ts";
import type { Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { Prisma, type Database } from "./client.ts";
import { column, recipientOf, senderOf, uuidOf } from "./messages.ts";
import { storable } from "./storable.ts";

/** What one party sends to another goes one after the other. */
export interface Lane {
  tenant: string;
  sender: Party;
  to: Party;
}

export type Delivery = Prisma.MessageDeliveryGetPayload<{ include: { message: true } }>;

const withMessage = { message: true } as const;

/** What waits to be delivered, in the order in which it was accepted. */
export const waitingIn = (database: Database, { tenant, sender, to }: Lane, take: number): Promise<Delivery[]> =>
  database.messageDelivery.findMany({
    where: { tenant, ...senderOf(sender), ...recipientOf(to), status: "accepted" },
    orderBy: { seq: "asc" },
    take,
    include: withMessage,
  });

/** What is under way keeps its status: its mailbox was faster. */
export async function markDelivered(database: Database, deliveries: readonly Delivery[]): Promise<void> {
  const seqs = deliveries.map(({ seq }) => seq);
  await database.messageDelivery.updateMany({
    where: { seq: { in: seqs }, status: "accepted" },
    data: { status: "delivered", deliveredAt: new Date(), problem: Prisma.DbNull },
  });
}

/** An attempt that came to nothing. Gives how many there were. */
export async function noteAttempt(database: Database, { seq }: Delivery, problem: Problem): Promise<number> {
  const data = { attempts: { increment: 1 }, problem: storable(problem as Json) as object };
  return (await database.messageDelivery.update({ where: { seq }, data, select: { attempts: true } })).attempts;
}

/** The delivery that an agent's mailbox has; null when it has come to an end, or was sent again since. */
export async function deliveryOf(database: Database, { tenant, agent, mail }: MailOf): Promise<Delivery | null> {
  const where = { tenant, messageId: mail.message, recipientKind: "agent", recipient: agent, round: mail.round };
  return database.messageDelivery.findFirst({ where: { ...where, status: { in: [...openStatuses] } }, include: withMessage });
}

export interface MailOf {
  tenant: string;
  agent: string;
  mail: Mail;
}

const openStatuses = ["accepted", "delivered", "working"] as const;

export async function beginWork(database: Database, { seq, deliveredAt }: Delivery, runId: string): Promise<void> {
  const data = { status: "working", runId, deliveredAt: deliveredAt ?? new Date() };
  await database.messageDelivery.updateMany({ where: { seq, status: { in: [...openStatuses] } }, data });
}

/** What became of a delivery: dead, or answered by a run, well or not. */
export type End = { dead: Problem } | Answer;

/**
 * Close a delivery, once, with the answer to its sender. Gives the lane of an answer that a run waits for.
 * Nobody is told of a dead one but who waits for its answer.
 */
export async function closeDelivery(database: Database, delivery: Delivery, end: End): Promise<Lane | undefined> {
  const { seq, round, message, tenant } = delivery;
  const from: Party = { kind: delivery.recipientKind as Party["kind"], name: delivery.recipient };
  const sender = senderIn(message);
  const isAwaited = sender.kind === "run" && message.replyUntil !== null;
  const replyId = isAwaited || !("dead" in end) ? uuidOf(JSON.stringify(["reply", message.id, from.kind, from.name, round])) : null;
  const problem = "dead" in end ? end.dead : "problem" in end ? end.problem : undefined;
  const status = "dead" in end ? "dead" : problem ? "failed" : "answered";
  await database.$transaction(async (transaction) => {
    const { count } = await transaction.messageDelivery.updateMany({
      where: { seq, round, status: { in: [...openStatuses] } },
      data: { status, replyId, endedAt: new Date(), problem: problem ? (storable(problem as Json) as object) : Prisma.DbNull },
    });
    if (count === 0 || replyId === null) return;
    const arrival = isAwaited ? { status: "accepted" } : { status: "delivered", deliveredAt: new Date() };
    await transaction.agentMessage.create({
      data: {
        id: replyId,
        tenant,
        ...senderOf(from),
        type: problem ? "no_reply" : "reply",
        payload: column("output" in end ? end.output : (problem as Json)),
        correlationId: message.correlationId,
        replyTo: message.id,
        requestHash: "",
        deliveries: { create: [{ tenant, ...senderOf(from), ...recipientOf(sender), ...arrival }] },
      },
    });
  });
  return isAwaited ? { tenant, sender: from, to: sender } : undefined;
}

/** Lanes in which something has waited for longer than it takes: whoever accepted it could not wake its delivery. */
export async function forgottenLanes(database: Database): Promise<Lane[]> {
  const before = new Date(Date.now() - limits.deliverySweepAfterMs);
  const rows = await database.messageDelivery.findMany({
    where: { status: "accepted", createdAt: { lt: before } },
    distinct: ["tenant", "senderKind", "sender", "recipientKind", "recipient"],
    select: { tenant: true, senderKind: true, sender: true, recipientKind: true, recipient: true },
    take: limits.deliveriesSweptMax,
  });
  return rows.map(laneOf);
}

/** Agents whose mailboxes should have something in hand. */
export async function busyMailboxes(database: Database): Promise<{ tenant: string; agent: string }[]> {
  const before = new Date(Date.now() - limits.deliverySweepAfterMs);
  const rows = await database.messageDelivery.findMany({
    where: { status: { in: ["delivered", "working"] }, recipientKind: "agent", deliveredAt: { lt: before }, message: { replyTo: null } },
    distinct: ["tenant", "recipient"],
    select: { tenant: true, recipient: true },
    take: limits.deliveriesSweptMax,
  });
  return rows.map(({ tenant, recipient }) => ({ tenant, agent: recipient }));
}

/** What a mailbox has been given and has not closed. */
export const unfinishedIn = (database: Database, mailbox: { tenant: string; agent: string }): Promise<Delivery[]> =>
  database.messageDelivery.findMany({
    where: inHand(mailbox),
    orderBy: { seq: "asc" },
    take: limits.mailboxMessagesMax,
    include: withMessage,
  });

const inHand = ({ tenant, agent }: { tenant: string; agent: string }) => ({
  tenant,
  recipientKind: "agent",
  recipient: agent,
  status: { in: ["delivered", "working"] },
  message: { replyTo: null },
});

export const mailOf = ({ message, round }: Delivery): Mail => ({
  message: message.id,
  round,
  sender: senderIn(message),
  type: message.type,
});

/** A mailbox that is gone has lost what it had in hand: it is delivered again. */
export async function deliverAgain(database: Database, { tenant, agent }: { tenant: string; agent: string }): Promise<void> {
  await database.messageDelivery.updateMany({ where: inHand({ tenant, agent }), data: { status: "accepted" } });
}

export const laneOf = (row: Pick<Delivery, "tenant" | "senderKind" | "sender" | "recipientKind" | "recipient">): Lane => ({
  tenant: row.tenant,
  sender: senderIn(row),
  to: { kind: row.recipientKind as Party["kind"], name: row.recipient },
});

// As it was written.
const senderIn = ({ senderKind, sender }: { senderKind: string; sender: string }): Party => ({
  kind: senderKind as Party["kind"],
  name: sender,
});
