import type { BudgetRef } from "./budgets.ts";
import type { Problem } from "./faults.ts";
import { deliveryWorkflowId, queues } from "./ids.ts";
import type { Json, JsonObject } from "./json.ts";
import type { RunArguments } from "./messages.ts";
import { searchAttributes } from "./search-attributes.ts";

/** What agents, runs and people say to each other, and how it reaches them. */

/** Who sends or gets a message: a run by its id, anybody else by name. */
export interface Party {
  kind: PartyKind;
  name: string;
}

export const partyKinds = ["agent", "webhook", "run", "person", "service"] as const;
export type PartyKind = (typeof partyKinds)[number];

/** Whom a message may be sent to; an answer goes to its sender, whoever that is. */
export interface Recipient extends Party {
  kind: "agent" | "webhook";
}

/**
 * `accepted`: stored, on its way. `delivered`: the mailbox has it, or the webhook took it. `working`: the agent's run is under way.
 * `answered`, `failed`: that run has ended, and how was told. `dead`: it could not be delivered, or nobody there takes it.
 */
export const deliveryStatuses = ["accepted", "delivered", "working", "answered", "failed", "dead"] as const;

/** A delivery as workflows pass it on; what it says lies in Postgres. */
export interface Mail {
  message: string;
  /** Counts up when it is sent again by hand. */
  round: number;
  sender: Party;
  type: string;
}

/** The only argument of workflow type `delivery`. */
export interface DeliveryArguments {
  tenant: string;
  sender: Party;
  /** Recipients for whom something waits: known to the execution that goes on with it. */
  lanes?: Party[];
}

/** The only argument of workflow type `mailbox`. */
export interface MailboxArguments {
  tenant: string;
  agent: string;
  state?: MailboxState;
}

/** All that an agent's mailbox is: carried along when it continues as new. */
export interface MailboxState {
  /** In the order of arrival. */
  waiting: Mail[];
  /** Ids of deliveries that came; the same one counts once. */
  seen: string[];
}

/** `wake`: something waits for these recipients. `receive`: deliveries for the agent, in their order. */
export const messageSignals = { wake: "wake", receive: "receive" } as const;

/** Gives the `MailboxState`. */
export const mailboxQuery = "mailbox";

/** What a run sends. */
export interface Outgoing {
  tenant: string;
  run: string;
  /** The same key and content is the same message. */
  key: string;
  to: Recipient[];
  type: string;
  payload: Json;
  /** How many runs stand above the sender. */
  depth: number;
  /** When the sender waits for an answer: until then. */
  replyUntil?: number;
  /** And what answers it falls under: the budgets of the step that waits. */
  budgets?: readonly BudgetRef[];
}

/** A delivery that is to be answered: what its run is started with. Null when there is nothing to do any more. */
export type OpenedMail = Pick<
  RunArguments,
  "id" | "workflow" | "depth" | "version" | "planHash" | "input" | "env" | "holds" | "budgets" | "startedBy"
> & {
  version: string;
};

/** How the run of a delivery has ended. */
export type Answer = { output: Json } | { problem: Problem };

/** The event by which a run hears the answer to its message. */
export const replyEvent = (message: string): string => `${replyPrefix}${message}`;
export const isReply = (event: string): boolean => event.startsWith(replyPrefix);

const replyPrefix = "message.reply:";

/** Its data. */
export type ReplyData = JsonObject & { id: string; from: string; type: string; payload: Json; problem?: Json };

export const nameOf = ({ kind, name }: Party): string => `${kind} ${name}`;

/** Parses what `to` of a step or a request says. Undefined: it says something else. */
export function recipientOf(to: Json): Recipient | undefined {
  if (typeof to === "string") return { kind: "agent", name: to };
  if (typeof to !== "object" || to === null || Array.isArray(to)) return undefined;
  const [entry, ...others] = Object.entries(to);
  if (!entry || others.length > 0) return undefined;
  const [kind, name] = entry;
  return (kind === "agent" || kind === "webhook") && typeof name === "string" ? { kind, name } : undefined;
}

/** What a client does to have the messages of a sender delivered: it starts their delivery, or wakes it. */
export function wakeOf(tenant: string, sender: Party, to: readonly Party[]) {
  const args: [DeliveryArguments] = [{ tenant, sender }];
  const signalArgs: [Wake] = [{ to: to.map(({ kind, name }) => ({ kind, name })) }];
  return {
    workflowId: deliveryWorkflowId(tenant, sender),
    taskQueue: queues.runs,
    args,
    signal: messageSignals.wake,
    signalArgs,
    staticSummary: `messages of ${nameOf(sender)}`.slice(0, 100),
    typedSearchAttributes: [{ key: searchAttributes.tenant, value: tenant }],
  };
}

export interface Wake {
  to: Party[];
}
