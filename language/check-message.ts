import type { StepOf } from "../contracts/definition.schema.ts";
import { limits } from "../contracts/limits.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import { anyType, objectOf, stringType, type Type } from "./expression/types.ts";

export function checkMessage(checking: Checking, { step, path, scope }: StepPlace<StepOf<"message">>): Type {
  const { to, messageType, replyTimeout } = step;
  if (isTopic(to))
    checking.add("not_available", [...path, "to", "topic"], "Topics are not yet available in this version; name an agent or a webhook.");
  else checking.value(to, [...path, "to"], scope);
  checking.wanted(messageType, [...path, "messageType"], scope, { type: stringType, what: "text" });
  if (!messageType?.includes("${") && messageType?.length > limits.messageTypeMax)
    checking.add("wrong_value", [...path, "messageType"], `\`messageType\` may have ${limits.messageTypeMax} characters.`);
  checking.value(step.payload, [...path, "payload"], scope);
  checking.duration(replyTimeout, [...path, "replyTimeout"], scope);
  const sent: [string, Type][] = [
    ["id", stringType],
    ["correlationId", stringType],
  ];
  if (replyTimeout === undefined) return objectOf(sent);
  return objectOf([...sent, ["from", stringType], ["type", stringType], ["payload", anyType]]);
}

const isTopic = (to: unknown): boolean => typeof to === "object" && to !== null && "topic" in to;
