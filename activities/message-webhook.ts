import { Fault, makeProblem, messageOf, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { resolve } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import type { Delivery } from "../prisma/deliveries.ts";
import { createEgress } from "./egress.ts";
import { signedHeaders } from "./notices.ts";

/** Hand a message to its webhook. Undefined: taken; otherwise why not, and whether another attempt makes no sense. */
export type PostMessage = (delivery: Delivery) => Promise<{ problem: Problem; isFinal: boolean } | undefined>;

interface Deps {
  database: Database;
  /** Hosts that may be reached although they are private. */
  httpAllow: string[];
  /** By `tenant/name`. */
  webhookSecrets: Record<string, string>;
}

/** Signed as notices are, through the egress guard; redirects are not followed. Taken: any 2xx. */
export function createPostMessage({ database, httpAllow, webhookSecrets }: Deps): PostMessage {
  const egress = createEgress({ allow: httpAllow });
  return async (delivery) => {
    const { tenant, recipient: name } = delivery;
    const webhook = await database.messageWebhook.findUnique({ where: { tenant_name: { tenant, name } } });
    if (!webhook) return refused(`Webhook ${name} was removed.`, true);
    const secret = webhook.secret === null ? undefined : webhookSecrets[`${tenant}/${webhook.secret}`];
    if (webhook.secret !== null && secret === undefined) return refused(`No worker has the secret ${webhook.secret}.`, false);
    const body = await bodyOf(database, delivery);
    const id = `${delivery.messageId}.${delivery.round}`;
    try {
      const url = new URL(webhook.url);
      egress.check(url);
      const { statusCode, body: answer } = await egress.dispatcher.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: "POST",
        body,
        headers: { "content-type": "application/json", ...signedHeaders({ id, body, secret }) },
        signal: AbortSignal.timeout(limits.noticeTimeoutMs),
      });
      answer.on("error", () => undefined).destroy();
      if (statusCode >= 200 && statusCode < 300) return undefined;
      return refused(`Webhook ${name} answered ${statusCode}.`, statusCode < 500 && !triedAgain.has(statusCode), statusCode);
    } catch (error) {
      if (error instanceof Fault) return { problem: error.problem, isFinal: true };
      return refused(`Webhook ${name} could not be reached: ${messageOf(error)}`, false);
    }
  };
}

const triedAgain = new Set([408, 425, 429]);

const refused = (detail: string, isFinal: boolean, answered?: number) => ({
  problem: makeProblem("http", detail, answered === undefined ? {} : { answered }),
  isFinal,
});

async function bodyOf(database: Database, { tenant, message }: Delivery): Promise<string> {
  const { id, senderKind, sender, type, correlationId, replyTo, createdAt } = message;
  const payload = await resolve(database, tenant, message.payload as Json);
  return JSON.stringify({ id, from: { [senderKind]: sender }, messageType: type, payload, correlationId, replyTo, at: createdAt });
}
