import { ApplicationFailure, Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import type { Activities } from "../contracts/activities.ts";
import { messageSignals, nameOf, replyEvent, wakeOf, type MailboxArguments, type ReplyData } from "../contracts/agent-messages.ts";
import { isProblem, makeProblem, type Problem } from "../contracts/faults.ts";
import { mailboxWorkflowId, queues, workflowIdOf } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { signals, workflowTypes, type ExternalEvent } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { Database } from "../prisma/client.ts";
import { closeDelivery, mailOf, markDelivered, noteAttempt, waitingIn, type Delivery, type End, type Lane } from "../prisma/deliveries.ts";
import type { PostMessage } from "./message-webhook.ts";

export interface DeliverDeps {
  database: Database;
  client: Client;
  post: PostMessage;
}

/**
 * Deliver what waits in a lane, in its order, for as long as one pass takes. Safe to repeat: a mailbox and a run count an id
 * once, a webhook gets it with each attempt. Rejects while somebody cannot be reached: Temporal tries it again.
 */
export function createDeliver(deps: DeliverDeps): Activities["deliver"] {
  return async (lane) => {
    const context = Context.current();
    const { isLocal } = context.info;
    const beating = setInterval(() => isLocal || context.heartbeat(), limits.deliveryHeartbeatMs / 4);
    try {
      return await pass(deps, lane, isLocal ? limits.localStepMs / 2 : limits.deliveryPassMs);
    } finally {
      clearInterval(beating);
    }
  };
}

async function pass(deps: DeliverDeps, lane: Lane, ms: number): ReturnType<Activities["deliver"]> {
  const endsAt = Date.now() + ms;
  let delivered = 0;
  const take = lane.to.kind === "webhook" ? 1 : limits.messageBatch;
  while (Date.now() < endsAt) {
    const batch = await waitingIn(deps.database, lane, take);
    if (batch.length > 0) await handOver(deps, lane, batch);
    delivered += batch.length;
    // What was accepted meanwhile wakes the delivery again.
    if (batch.length < take) return { delivered, isEmpty: true };
  }
  return { delivered, isEmpty: false };
}

function handOver(deps: DeliverDeps, lane: Lane, batch: Delivery[]): Promise<void> {
  if (lane.to.kind === "agent") return toMailbox(deps, lane, batch);
  return lane.to.kind === "webhook" ? toWebhook(deps, batch[0]!) : toRun(deps, lane, batch);
}

async function toMailbox({ database, client }: DeliverDeps, { tenant, to }: Lane, batch: Delivery[]): Promise<void> {
  const args: MailboxArguments = { tenant, agent: to.name };
  await client.workflow.signalWithStart(workflowTypes.mailbox, {
    workflowId: mailboxWorkflowId(tenant, to.name),
    taskQueue: queues.runs,
    args: [args],
    signal: messageSignals.receive,
    signalArgs: [batch.map(mailOf)],
    staticSummary: `mailbox of ${to.name}`,
    typedSearchAttributes: [{ key: searchAttributes.tenant, value: tenant }],
  });
  await markDelivered(database, batch);
}

/** An answer that a run waits for. */
async function toRun(deps: DeliverDeps, { tenant, to }: Lane, batch: Delivery[]): Promise<void> {
  for (const delivery of batch) {
    try {
      await deps.client.workflow.getHandle(workflowIdOf(tenant, to.name)).signal(signals.deliver, eventOf(delivery));
      await markDelivered(deps.database, [delivery]);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      await close(deps, delivery, { dead: makeProblem("run_ended", `Run ${to.name} has ended; nobody waits for the answer.`) });
    }
  }
}

function eventOf({ message }: Delivery): ExternalEvent {
  const { id, type, sender, payload, createdAt } = message;
  const isReply = type !== "no_reply";
  const data: ReplyData = {
    id,
    from: sender,
    type,
    payload: isReply ? (payload as Json) : null,
    ...(isReply ? {} : { problem: payload as Json }),
  };
  return { event: replyEvent(message.replyTo ?? ""), id, data, at: createdAt.getTime() };
}

async function toWebhook(deps: DeliverDeps, delivery: Delivery): Promise<void> {
  restOf(delivery);
  const refused = await deps.post(delivery);
  if (!refused) return markDelivered(deps.database, [delivery]);
  const { problem, isFinal } = refused;
  const attempts = delivery.attempts + 1;
  const delay = Math.min(limits.messageRetryMaxMs, 2 ** (attempts - 1) * 1_000);
  const isLast = isFinal || attempts >= limits.messageAttemptsMax;
  await noteAttempt(deps.database, delivery, isLast ? problem : { ...problem, retryAt: new Date(Date.now() + delay).toISOString() });
  if (isLast) return close(deps, delivery, { dead: problem });
  throw later(problem, delay);
}

/** Who takes over from an execution that waited for another attempt waits for the rest of that time. */
function restOf({ attempts, problem }: Delivery): void {
  if (attempts === 0 || !isProblem(problem) || typeof problem["retryAt"] !== "string") return;
  const rest = Date.parse(problem["retryAt"]) - Date.now();
  if (rest > 0) throw later(problem, rest);
}

const later = ({ type, detail: message }: Problem, nextRetryDelay: number): ApplicationFailure =>
  ApplicationFailure.create({ type, message, nextRetryDelay });

/** Close a delivery, and have its sender told where it waits for an answer. */
export async function close({ database, client }: Pick<DeliverDeps, "database" | "client">, delivery: Delivery, end: End): Promise<void> {
  const lane = await closeDelivery(database, delivery, end);
  if (lane) await wake(client, lane);
}

export async function wake(client: Client, { tenant, sender, to }: Lane): Promise<void> {
  try {
    await client.workflow.signalWithStart(workflowTypes.delivery, wakeOf(tenant, sender, [to]));
  } catch (error) {
    // It is accepted, and reconcile looks for what nobody delivers.
    Context.current().log.warn("a delivery could not be woken", { tenant, sender: nameOf(sender), error });
  }
}
