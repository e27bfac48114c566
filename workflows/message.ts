import { recipientOf, replyEvent, type Outgoing, type Recipient, type ReplyData } from "../contracts/agent-messages.ts";
import { Fault, isProblem } from "../contracts/faults.ts";
import { isStorable, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { admitAbove } from "./agents-above.ts";
import type { HereOf, Outcome } from "./context.ts";
import { beforeDeadline, deadlineOf, iso } from "./deadline.ts";
import type { Walk } from "./walk.ts";

/** What a `message` step notes once it is sent. */
type Sent = { id: string; correlationId: string; order: number; deadline?: number };

/** Send a message; with `replyTimeout` wait for the answer, which comes as an event of the run. */
export async function sendMessage(walk: Walk, here: HereOf<"message">): Promise<Outcome> {
  const { path } = here;
  const sent = (walk.ledger.place(path)?.["message"] as Sent | undefined) ?? (await send(walk, here));
  const { id, correlationId } = sent;
  if (sent.deadline === undefined) return { output: { id, correlationId } };
  const data = await reply(walk, here, sent);
  if (!data) {
    walk.mailbox.close(replyEvent(id));
    throw new Fault("no_reply", "Nobody answered in time.", { instance: path, extra: { message: id } });
  }
  if (isProblem(data["problem"])) {
    const { problem } = data;
    throw new Fault("no_reply", `There is no answer: ${problem.detail}`, {
      instance: path,
      extra: { message: id, reason: problem as Json },
    });
  }
  return { output: { ...data, correlationId } };
}

async function send(walk: Walk, here: HereOf<"message">): Promise<Sent> {
  const { step, path, attempt, context } = here;
  if (walk.options.depth >= limits.childDepthMax)
    throw new Fault(
      "limit",
      `Runs may be nested ${limits.childDepthMax} deep, answers to messages among them; step ${path} would call forth one more.`,
    );
  const to = recipient(path, await walk.value(step.to, context.frame));
  const deadline = await deadlineOf(walk, step.replyTimeout, here);
  const outgoing: Omit<Outgoing, "tenant" | "run"> = {
    // One that is to be answered is answered to this run, and to this attempt.
    key: deadline === undefined ? walk.effectKey(path) : `${walk.options.run.id}:${path}#${attempt}`,
    to: [to],
    type: await messageType(walk, here),
    depth: walk.options.depth,
    payload: await walk.shrink(await walk.value(step.payload, context.frame), path),
    ...(deadline === undefined ? {} : { replyUntil: walk.clock.wall(deadline) }),
    ...(deadline === undefined || context.budgets.length === 0 ? {} : { budgets: context.budgets }),
  };
  await admitAbove(walk, path);
  const answer = await walk.outside(() => walk.inspector.busy(() => walk.port.message(outgoing, path)));
  if ("problem" in answer) throw Fault.of({ ...answer.problem, instance: path });
  const sent: Sent = { ...answer, order: walk.mailbox.open(), ...(deadline === undefined ? {} : { deadline }) };
  walk.ledger.note(path, { message: sent });
  const until: JsonObject = deadline === undefined ? {} : { until: iso(walk.clock.wall(deadline)) };
  const told = { ...answer, to: { [to.kind]: to.name }, messageType: outgoing.type };
  walk.tell("message.sent", { path, lane: context.lane, attempt }, { ...told, ...until });
  return sent;
}

function reply(walk: Walk, here: HereOf<"message">, { id, order, deadline }: Sent): Promise<ReplyData | undefined> {
  const event = replyEvent(id);
  return walk.inspector.waiting(here.path, `the answer to message ${id}`, () =>
    beforeDeadline(walk, here, deadline, async (scope) => {
      const heard = await walk.mailbox.next([{ event, as: event }], { frame: here.context.frame, scope, since: 0, order });
      return heard.event.data as ReplyData;
    }),
  );
}

function recipient(path: string, to: Json): Recipient {
  const found = recipientOf(to);
  if (found && isStorable(found.name)) return found;
  const given = JSON.stringify(to).slice(0, 80);
  throw new Fault("expression", `\`to\` of ${path} must be an agent's name, {agent} or {webhook}; it is ${given}.`, { instance: path });
}

async function messageType(walk: Walk, { step, path, context }: HereOf<"message">): Promise<string> {
  const type = await walk.value(step.messageType, context.frame);
  if (typeof type === "string" && type !== "" && type.length <= limits.messageTypeMax && isStorable(type)) return type;
  throw new Fault("expression", `\`messageType\` of ${path} must be a text of 1 to ${limits.messageTypeMax} characters.`, {
    instance: path,
  });
}
