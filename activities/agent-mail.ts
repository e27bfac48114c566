import { ApplicationFailure, Context } from "@temporalio/activity";
import type { Client } from "@temporalio/client";
import type { Activities } from "../contracts/activities.ts";
import type { Agent } from "../contracts/agents.ts";
import type { OpenedMail } from "../contracts/agent-messages.ts";
import type { BudgetRef } from "../contracts/budgets.ts";
import { Fault, makeProblem, type Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { readDefinitionValue } from "../language/index.ts";
import type { Plan } from "../language/plan.ts";
import { currentOf, loadAgent } from "../prisma/agents.ts";
import { resolve, store } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { beginWork, deliveryOf, mailOf, unfinishedIn, type Delivery, type MailOf } from "../prisma/deliveries.ts";
import { sha256 } from "../prisma/hash.ts";
import { platformHolds } from "../prisma/pauses.ts";
import { Plans } from "../prisma/plans.ts";
import { close } from "./deliver.ts";

interface Deps {
  database: Database;
  client: Client;
  env: Record<string, string>;
}

/** What an agent's mailbox does with a delivery: each message is a task of the agent, done by a run of its own. */
export const createAgentMail = (deps: Deps): Pick<Activities, "unfinishedMail" | "openMail" | "answerMail"> => ({
  unfinishedMail: async (mailbox) => (await unfinishedIn(deps.database, mailbox)).map(mailOf),

  async openMail(mail) {
    const delivery = await deliveryOf(deps.database, mail);
    if (!delivery) return null;
    try {
      // What has begun goes on; its run sees for itself what state the agent is in.
      const refusal = delivery.runId === null ? await refusalOf(deps.database, mail, delivery) : undefined;
      if (!refusal) return await opened(deps, mail, delivery);
      await close(deps, delivery, { dead: refusal });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      await close(deps, delivery, { dead: error.problem });
    }
    return null;
  },

  async answerMail({ answer, ...mail }) {
    const delivery = await deliveryOf(deps.database, mail);
    if (delivery) await close(deps, delivery, answer);
  },
});

/** Why the agent does not take it; while it is paused, it is asked again. */
async function refusalOf(database: Database, { tenant, agent }: MailOf, delivery: Delivery): Promise<Problem | undefined> {
  const { createdAt } = delivery;
  if (isForNobody(delivery))
    return makeProblem(
      "no_reply",
      `Agent ${agent} came to it when its sender waited no more; redrive it when it is to be done all the same.`,
    );
  const { state } = await currentOf(database, tenant, agent);
  if (state === "active") return undefined;
  if (state !== "paused") return makeProblem("agent_state", `Agent ${agent} is ${state}; send it again when it is active.`);
  if (Date.now() - createdAt.getTime() > limits.messageKeepMs)
    return makeProblem("agent_state", `Agent ${agent} was paused for longer than messages wait.`);
  const nextRetryDelay = Math.min(limits.pausedAgentAskMs, Context.current().info.attempt * 1_000);
  const message = `Agent ${agent} is paused; the message waits.`;
  throw ApplicationFailure.create({ type: "agent_state", message, nextRetryDelay, category: "BENIGN" });
}

/** Its sender has given it up, and may have turned elsewhere. Whoever sends it again by hand wants it done. */
const isForNobody = ({ round, message: { replyUntil } }: Delivery): boolean =>
  round === 1 && replyUntil !== null && replyUntil.getTime() <= Date.now();

async function opened({ database, env }: Deps, { tenant, agent, mail }: MailOf, delivery: Delivery): Promise<OpenedMail> {
  const { version } = await loadAgent(database, tenant, agent);
  const source = taskOf(agent, version);
  const plan = planOf(source);
  await new Plans(database).keepPatched(tenant, { source, plan, by: `agent ${agent}` });
  const id = `r_${sha256(JSON.stringify([tenant, agent, mail.message, mail.round])).slice(0, 26)}`;
  const [holds, input] = await Promise.all([platformHolds(database, tenant, plan.name), inputOf(database, delivery)]);
  await beginWork(database, delivery, id);
  // As it was sent.
  const budgets = delivery.message.budgets as unknown as BudgetRef[];
  return {
    id,
    workflow: plan.name,
    version,
    planHash: plan.hash,
    input,
    env,
    // As if the sender had started it: messages that call forth messages come to an end.
    depth: delivery.message.depth + 1,
    startedBy: `message ${mail.message}`,
    ...(holds.holds.length > 0 ? { holds: [holds] } : {}),
    ...(budgets.length > 0 ? { budgets } : {}),
  };
}

async function inputOf(database: Database, { tenant, message }: Delivery): Promise<Json> {
  const { id, senderKind, sender, type, correlationId } = message;
  const payload = await resolve(database, tenant, message.payload as Json);
  const text = typeof payload === "string" ? payload : JSON.stringify(payload, null, 2);
  return store(database, tenant, { message: id, from: `${senderKind} ${sender}`, type, correlationId, text });
}

/** As people would write it. */
const taskOf = (agent: Agent["name"], version: string): JsonObject => ({
  name: `agent.${agent}`.slice(0, 64),
  version,
  title: `Messages to ${agent}`,
  steps: [
    {
      id: "answer",
      type: "agent",
      agent,
      version,
      summary: "${input.type} from ${input.from}",
      // Whoever has sent it: the agent's instructions say what becomes of it.
      prompt: "A message has come; deal with it as your instructions say.\n\n" + `\${data(${said})}`,
    },
  ],
});

const said = '"type: " + input.type + "\\nfrom: " + input.from + "\\n\\n" + input.text';

function planOf(source: JsonObject): Plan {
  const read = readDefinitionValue(source, { hashOf: sha256 });
  if (read.ok) return read.plan;
  throw new Error(`The task of an agent does not compile: ${read.problems.map(({ message }) => message).join(" ")}`);
}
