import type { Outgoing } from "../contracts/agent-messages.ts";
import { rootOfKey, type RunId } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { Prisma, type Database } from "./client.ts";
import { hashOf } from "./hash.ts";
import { acceptMessage, keyedId, senderIn, type AcceptedMessage } from "./messages.ts";
import { originsOf, wasUndone } from "./origins.ts";

/**
 * Take what a run sends, once. It is known by the root of its key, not by the run: what a retry sends again is what its origin has sent.
 * A fork has a root of its own; what its origin has sent stands for it.
 */
export async function acceptOfRun(database: Database, outgoing: Outgoing): Promise<AcceptedMessage> {
  const root = rootOfKey(outgoing.key);
  const sender = { kind: "run", name: outgoing.run } as const;
  const earlier = isOwn(outgoing) ? undefined : await sentByOrigin(database, outgoing, root);
  return earlier ?? acceptMessage(database, { ...outgoing, sender, id: idUnder(root, outgoing) });
}

/** An answer comes to who has asked, and what undoes a fork's own work has not been sent by its origin. */
const isOwn = ({ replyUntil, key }: Outgoing): boolean => replyUntil !== undefined || pathOf(key).includes(".compensate.");

/** The message as the runs know it that a root's tree was forked from: the nearest that stands. */
async function sentByOrigin(database: Database, outgoing: Outgoing, root: RunId): Promise<AcceptedMessage | undefined> {
  const { tenant, key } = outgoing;
  const origins = await database.$queryRaw<{ root: string }[]>`
    WITH RECURSIVE ${originsOf(tenant, root)} SELECT root FROM origins WHERE depth > 0 ORDER BY depth`;
  if (origins.length === 0) return undefined;
  const roots = origins.map((origin) => origin.root);
  const ids = roots.map((each) => idUnder(each, outgoing));
  const sent = {
    run: Prisma.sql`m.sender`,
    root: Prisma.sql`c.root`,
    path: Prisma.sql`${pathOf(key)}::text`,
    at: Prisma.sql`m.created_at`,
  };
  const rows = await database.$queryRaw<Row[]>`
    SELECT m.id, m.sender_kind AS "senderKind", m.sender, m.correlation_id AS "correlationId", m.created_at AS "createdAt"
    FROM unnest(${ids}::uuid[], ${roots}::text[]) WITH ORDINALITY AS c (id, root, depth) JOIN agent_messages m ON m.id = c.id
    WHERE m.tenant = ${tenant} AND NOT ${wasUndone(tenant, sent)} ORDER BY c.depth LIMIT 1`;
  return rows.map((row) => ({ ...row, sender: senderIn(row) }))[0];
}

interface Row {
  id: string;
  senderKind: string;
  sender: string;
  correlationId: string;
  createdAt: Date;
}

/** Other content is another message. */
function idUnder(root: RunId, { tenant, key, to, type, payload }: Outgoing): string {
  const content = hashOf([root + restOf(key), to as unknown as Json, type, payload]);
  return keyedId(tenant, { kind: "run", name: root }, content);
}

/** What a key has after its root: `:{path}`, with the count of what was undone. */
const restOf = (key: string): string => key.slice(rootOfKey(key).length);
const pathOf = (key: string): string => restOf(key).slice(1).replace(/#\d+$/, "");
