import type { Answer, Mail, Party } from "../contracts/agent-messages.ts";
import type { Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { Prisma, type Database } from "./client.ts";
import { column, recipientOf, senderIn, senderOf, uuidOf } from "./messages.ts";
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

/** An attempt that came to nothing, unless somebody else has brought the delivery to its end. */
export async function noteAttempt(database: Database, { seq }: Delivery, problem: Problem): Promise<void> {
  const data = { attempts: { increment: 1 }, problem: storable(problem as Json) as object };
  await database.messageDelivery.updateMany({ where: { seq, status: "accepted" }, data });
}

/** Send what did not reach its recipient, or was not answered well, once more: as if it were accepted now, under a number of its own. */
export const beginAnew = (transaction: Prisma.TransactionClient, tenant: string, message: string): Promise<LaneRow[]> =>
  transaction.$queryRaw<LaneRow[]>`
    UPDATE message_deliveries SET
      seq = nextval(pg_get_serial_sequence('message_deliveries', 'seq')), created_at = now(), status = 'accepted', attempts = 0,
      round = round + 1, run_id = NULL, reply_id = NULL, ended_at = NULL, delivered_at = NULL
    WHERE message_id = ${message}::uuid AND tenant = ${tenant} AND status IN ('dead', 'failed')
    RETURNING tenant, sender_kind AS "senderKind", sender, recipient_kind AS "recipientKind", recipient`;

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
      // What has reached a webhook or a run is at its end.
      where: { seq, round, status: { in: from.kind === "agent" ? [...openStatuses] : ["accepted"] } },
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

/** Lanes in which something has waited for longer than it takes, page by page: whoever accepted it could not wake its delivery. */
export async function* forgottenLanes(database: Pick<Database, "$queryRaw">): AsyncGenerator<Lane> {
  const before = new Date(Date.now() - limits.deliverySweepAfterMs);
  let last: LaneRow | undefined = { tenant: "", senderKind: "", sender: "", recipientKind: "", recipient: "" };
  while (last) {
    const { tenant, senderKind, sender, recipientKind, recipient }: LaneRow = last;
    const rows: LaneRow[] = await database.$queryRaw<LaneRow[]>`
      SELECT DISTINCT tenant, sender_kind AS "senderKind", sender, recipient_kind AS "recipientKind", recipient
      FROM message_deliveries
      WHERE status = 'accepted' AND created_at < ${before}
        AND (tenant, sender_kind, sender, recipient_kind, recipient) > (${tenant}, ${senderKind}, ${sender}, ${recipientKind}, ${recipient})
      ORDER BY tenant, sender_kind, sender, recipient_kind, recipient LIMIT ${limits.deliveriesSweptMax}`;
    yield* rows.map(laneOf);
    last = rows.length < limits.deliveriesSweptMax ? undefined : rows.at(-1);
  }
}

/** Agents whose mailboxes should have something in hand, page by page. */
export async function* busyMailboxes(database: Pick<Database, "$queryRaw">): AsyncGenerator<{ tenant: string; agent: string }> {
  const before = new Date(Date.now() - limits.deliverySweepAfterMs);
  let last: { tenant: string; agent: string } | undefined = { tenant: "", agent: "" };
  while (last) {
    const { tenant, agent }: { tenant: string; agent: string } = last;
    // From the agents: what webhooks and runs ever took is never looked at.
    const rows: { tenant: string; agent: string }[] = await database.$queryRaw<{ tenant: string; agent: string }[]>`
      SELECT agents.tenant, agents.name AS agent FROM agents
      WHERE latest AND (agents.tenant, agents.name) > (${tenant}, ${agent}) AND EXISTS (
        SELECT FROM message_deliveries delivery JOIN agent_messages message ON message.id = delivery.message_id
        WHERE delivery.tenant = agents.tenant AND recipient_kind = 'agent' AND recipient = agents.name
          AND status IN ('delivered', 'working') AND delivered_at < ${before} AND message.reply_to IS NULL
      )
      ORDER BY agents.tenant, agents.name LIMIT ${limits.deliveriesSweptMax}`;
    yield* rows;
    last = rows.length < limits.deliveriesSweptMax ? undefined : rows.at(-1);
  }
}

/** What a mailbox has been given and has not closed. */
export const unfinishedIn = (database: Database, mailbox: { tenant: string; agent: string }): Promise<MailRow[]> =>
  database.messageDelivery.findMany({
    where: inHand(mailbox),
    orderBy: { seq: "asc" },
    select: { round: true, message: { select: { id: true, type: true, senderKind: true, sender: true } } },
  });

const inHand = ({ tenant, agent }: { tenant: string; agent: string }) => ({
  tenant,
  recipientKind: "agent",
  recipient: agent,
  status: { in: ["delivered", "working"] },
  message: { replyTo: null },
});

interface MailRow {
  round: number;
  message: Pick<Delivery["message"], "id" | "type" | "senderKind" | "sender">;
}

export const mailOf = ({ message, round }: MailRow): Mail => ({
  message: message.id,
  round,
  sender: senderIn(message),
  type: message.type,
});

/** A mailbox that is gone has lost what it had in hand: it is delivered again. */
export async function deliverAgain(database: Database, { tenant, agent }: { tenant: string; agent: string }): Promise<void> {
  await database.messageDelivery.updateMany({ where: inHand({ tenant, agent }), data: { status: "accepted" } });
}

type LaneRow = Pick<Delivery, "tenant" | "senderKind" | "sender" | "recipientKind" | "recipient">;

export const laneOf = (row: LaneRow): Lane => ({
  tenant: row.tenant,
  sender: senderIn(row),
  to: { kind: row.recipientKind as Party["kind"], name: row.recipient },
});
