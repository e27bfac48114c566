import { randomUUID } from "node:crypto";
import type { Party, Recipient } from "../contracts/agent-messages.ts";
import type { BudgetRef } from "../contracts/budgets.ts";
import { Fault } from "../contracts/faults.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { currentOf } from "./agents.ts";
import { keep } from "./blobs.ts";
import { Prisma, type Database } from "./client.ts";
import { hashOf, sha256 } from "./hash.ts";
import { jsonbText, storable } from "./storable.ts";

/** A message as somebody sends it. */
export interface NewMessage {
  tenant: string;
  sender: Party;
  to: Recipient[];
  type: string;
  payload: Json;
  /** The same id is the same message (`keyedId`); absent: a message of its own. */
  id?: string | undefined;
  correlationId?: string | undefined;
  replyUntil?: number | undefined;
  /** Of the run that sends it. */
  depth?: number | undefined;
  /** Those of the run that waits for the answer: what answers it falls under them. */
  budgets?: readonly BudgetRef[] | undefined;
}

export interface AcceptedMessage {
  id: string;
  /** Who was the first to send it. */
  sender: Party;
  correlationId: string;
  createdAt: Date;
}

/** What a sender sends under a key is one message. */
export const keyedId = (tenant: string, { kind, name }: Party, key: string): string => uuidOf(JSON.stringify([tenant, kind, name, key]));

/**
 * Take a message: it is durable when this resolves, whole or not at all. Sent again under its id it is the same message.
 * Faults: `not_found` for an unknown recipient, `mailbox_full`, `too_large`, `idempotency_mismatch`, `reserved_key`.
 */
export async function acceptMessage(database: Database, message: NewMessage): Promise<AcceptedMessage> {
  const { sender, to, type, payload, id = randomUUID(), correlationId } = message;
  const requestHash = hashOf([to as unknown as Json, type, payload, correlationId ?? null]);
  const earlier = message.id === undefined ? undefined : await acceptedBefore(database, id, requestHash);
  if (earlier) return earlier;
  await refuse(database, message);
  const createdAt = await insert(database, { ...message, id, requestHash });
  return createdAt ? { id, sender, correlationId: correlationId ?? id, createdAt } : (await acceptedBefore(database, id, requestHash))!;
}

/** In one statement: it needs no transaction, and is there with its deliveries or not at all. Undefined: it was there before. */
async function insert(database: Database, message: NewMessage & { id: string; requestHash: string }): Promise<Date | undefined> {
  const { id, tenant, sender, to, type, correlationId = id, replyUntil, depth = 0, budgets = [], requestHash } = message;
  const payload = jsonbText(await keep(database, tenant, message.payload));
  const until = replyUntil === undefined ? null : new Date(replyUntil);
  const [kinds, names] = [to.map(({ kind }) => kind), to.map(({ name }) => name)];
  const rows = await database.$queryRaw<{ createdAt: Date }[]>`
    WITH message AS (
      INSERT INTO agent_messages (id, tenant, sender_kind, sender, type, payload, correlation_id, depth, reply_until, budgets, request_hash)
      VALUES (${id}::uuid, ${tenant}, ${sender.kind}, ${sender.name}, ${type}, ${payload}::jsonb, ${correlationId}, ${depth}, ${until}, ${JSON.stringify(budgets)}::jsonb, ${requestHash})
      ON CONFLICT (id) DO NOTHING RETURNING id, created_at
    ), deliveries AS (
      INSERT INTO message_deliveries (message_id, tenant, sender_kind, sender, recipient_kind, recipient, status)
      SELECT message.id, ${tenant}, ${sender.kind}, ${sender.name}, kind, name, 'accepted'
      FROM message, unnest(${kinds}::text[], ${names}::text[]) AS recipients (kind, name)
    )
    SELECT created_at AS "createdAt" FROM message`;
  return rows[0]?.createdAt;
}

async function acceptedBefore(database: Database, id: string, requestHash: string): Promise<AcceptedMessage | undefined> {
  const select = { senderKind: true, sender: true, correlationId: true, createdAt: true, requestHash: true };
  const row = await database.agentMessage.findUnique({ where: { id }, select });
  if (!row) return undefined;
  if (row.requestHash !== requestHash)
    throw new Fault("idempotency_mismatch", "This Idempotency-Key has sent another message; take a new one.");
  return { id, sender: senderIn(row), correlationId: row.correlationId, createdAt: row.createdAt };
}

async function refuse(database: Database, { tenant, to, payload }: NewMessage): Promise<void> {
  if (jsonBytes(payload) > limits.messageBytesMax)
    throw new Fault("too_large", `\`payload\` may have ${limits.messageBytesMax} bytes; send where to find the rest.`);
  await Promise.all(to.map((recipient) => refuseRecipient(database, tenant, recipient)));
}

async function refuseRecipient(database: Database, tenant: string, { kind, name }: Recipient): Promise<void> {
  if (kind === "agent") await currentOf(database, tenant, name);
  else if (!(await database.messageWebhook.findUnique({ where: { tenant_name: { tenant, name } } })))
    throw new Fault("not_found", `No webhook ${name}; make it first: PUT /api/v2/message-webhooks/${name}.`);
  // What a webhook has taken is done; what an agent has got waits in its mailbox.
  const statuses = kind === "webhook" ? ["accepted"] : ["accepted", "delivered", "working"];
  const open = { tenant, recipientKind: kind, recipient: name, status: { in: statuses } };
  const count = await database.messageDelivery.count({ where: open, take: limits.mailboxMessagesMax });
  if (count >= limits.mailboxMessagesMax)
    throw new Fault("mailbox_full", `${count} messages wait for ${kind} ${name} already; send again when it has taken some.`);
}

// As it was written.
export const senderIn = ({ senderKind, sender }: { senderKind: string; sender: string }): Party => ({
  kind: senderKind as Party["kind"],
  name: sender,
});

export const senderOf = ({ kind, name }: Party) => ({ senderKind: kind, sender: name });
export const recipientOf = ({ kind, name }: Party) => ({ recipientKind: kind, recipient: name });

/** JSON as its column takes it. */
export const column = (value: Json) => (value === null ? Prisma.JsonNull : storable(value));

/** The first 122 bits of the text's hash, as a UUID of version 8. */
export function uuidOf(text: string): string {
  const hex = sha256(text);
  const variant = "89ab"[Number.parseInt(hex[16]!, 16) % 4]!;
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, variant + hex.slice(17, 20), hex.slice(20, 32)].join("-");
}
