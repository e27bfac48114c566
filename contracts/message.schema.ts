import { z } from "zod";
import { deliveryStatuses, partyKinds } from "./agent-messages.ts";
import { paged, problemSchema, text, time } from "./api.schema.ts";
import { anyJson, fixedText, workflowName } from "./definition-fields.schema.ts";
import { limits } from "./limits.ts";

/** What the API takes and says of messages. */

const recipient = z.union(
  [
    workflowName,
    z.strictObject({ agent: workflowName.describe("A published agent.") }),
    z.strictObject({ webhook: workflowName.describe("A webhook of the tenant.") }),
  ],
  { error: "an agent's name, `{agent}` or `{webhook}`; topics are not yet available" },
);

export const sendMessageSchema = z
  .strictObject({
    to: z
      .union([recipient, z.array(recipient).min(1).max(limits.messageRecipientsMax)], {
        error: "an agent's name, `{agent}` or `{webhook}`, or a list of them; topics are not yet available",
      })
      .meta({ description: "Who gets it: an agent by its name, `{agent}`, `{webhook}`, or several of them." }),
    messageType: text(limits.messageTypeMax).meta({ description: "What kind of message it is." }),
    payload: anyJson.optional().meta({ description: `What it says, in ${limits.messageBytesMax} bytes of JSON.` }),
    correlationId: text(limits.correlationIdMax)
      .optional()
      .meta({ description: "What it belongs to; its answers have the same. The message's own id without it." }),
  })
  .meta({ id: "SendMessage", description: "A message. Its sender is whose key it is sent with." });

const party = z
  .object({ kind: z.enum(partyKinds), name: z.string() })
  .meta({ id: "MessageParty", description: "Who sends or gets a message; a run by its id." });

const deliverySchema = z
  .object({
    to: party,
    status: z.enum(deliveryStatuses),
    round: z.int().meta({ description: "Counts up when it is sent again." }),
    attempts: z.int().meta({ description: "That came to nothing." }),
    problem: problemSchema.nullable().meta({ description: "Of the last attempt, or why there is no answer." }),
    runId: z.string().nullable().meta({ description: "The agent's run." }),
    replyId: z.string().nullable(),
    deliveredAt: time.nullable(),
    endedAt: time.nullable(),
  })
  .meta({ id: "MessageDelivery", description: "A message on its way to one recipient, and what became of it there." });

const messageFields = {
  id: z.string(),
  from: party,
  messageType: z.string(),
  correlationId: z.string(),
  replyTo: z.string().nullable().meta({ description: "The message that it answers." }),
  replyUntil: time.nullable().meta({ description: "Until when its sender waits for an answer." }),
  at: time,
  deliveries: z.array(deliverySchema),
};

export const messageSchema = z
  .object({ ...messageFields, payload: z.unknown() })
  .meta({ id: "Message", description: "A message with its deliveries." });

export const messagePageSchema = paged(
  "MessagePage",
  z.object(messageFields).meta({ id: "MessageSummary", description: "A message without its payload." }),
);

export const acceptedMessageSchema = z
  .object({ id: z.string(), correlationId: z.string(), at: time, links: z.object({ self: z.string() }) })
  .meta({ id: "AcceptedMessage", description: "A message that is stored and on its way." });

export const putMessageWebhookSchema = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).max(2_000),
    secret: fixedText.optional().meta({ description: "Name of the operator's secret (TENUTO_WEBHOOK_SECRETS) that signs what is sent." }),
  })
  .meta({ id: "PutMessageWebhook", description: "An address that messages may be sent to." });

export const messageWebhookSchema = z
  .object({ name: z.string(), url: z.string(), secret: z.string().nullable(), createdBy: z.string(), createdAt: time })
  .meta({ id: "MessageWebhook", description: "An address that messages may be sent to." });

export const messageWebhookListSchema = z
  .object({ data: z.array(messageWebhookSchema) })
  .meta({ id: "MessageWebhookList", description: "By name." });

export type SendMessage = z.infer<typeof sendMessageSchema>;
export type PutMessageWebhook = z.infer<typeof putMessageWebhookSchema>;
