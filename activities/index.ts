import type { Client } from "@temporalio/client";
import { ApplicationFailure, Context } from "@temporalio/activity";
import { Fault, faults } from "../contracts/faults.ts";
import { resolve, stored } from "../prisma/blobs.ts";
import type { Activities, ToolFields } from "../contracts/activities.ts";
import type { Holds } from "../contracts/holds.ts";
import type { Json } from "../contracts/json.ts";
import type { Plan } from "../language/plan.ts";
import type { Database } from "../prisma/client.ts";
import { platformHolds } from "../prisma/pauses.ts";
import { Plans } from "../prisma/plans.ts";
import { createAgentMail } from "./agent-mail.ts";
import { createAddExchange } from "./add-exchange.ts";
import { createBrief } from "./brief.ts";
import { createBroadcast } from "./broadcast.ts";
import type { Budgets } from "./budgets.ts";
import { createChildEnd } from "./child-end.ts";
import { createDeliver } from "./deliver.ts";
import { ofNobody, type Embeddings } from "./embeddings.ts";
import { EffectLedger } from "./effects.ts";
import { createHttp } from "./http.ts";
import { createHttpStep } from "./http-step.ts";
import type { IsolatedSchemas } from "./isolated-schema.ts";
import { createLeftByWindow } from "./left-by-window.ts";
import { createLoadLedger } from "./ledger.ts";
import { createLlm } from "./llm.ts";
import { createLocks } from "./locks.ts";
import { createPeopleAsked } from "./people-asked.ts";
import { createPostMessage } from "./message-webhook.ts";
import type { ModelCalls } from "./model-calls.ts";
import type { Models } from "./models.ts";
import type { Quotas } from "./quotas.ts";
import { onBehalf, refuseInactive } from "./agent-state.ts";
import { AnswerCache } from "./answer-cache.ts";
import type { McpServers } from "./mcp-servers.ts";
import { createAutoPause } from "./auto-pause.ts";
import { createRaiseBudgets } from "./raise-budgets.ts";
import { createReconcile } from "./reconcile.ts";
import { createSendNotice, Notices, type NoticeSettings } from "./notices.ts";
import type { Announce, Record as RunRecord } from "./record.ts";
import type { Redact } from "./redact.ts";
import { createSendMessage } from "./send-message.ts";
import { createSpreadPause, hears } from "./spread-pause.ts";
import { createShortTools } from "./short-tools.ts";
import { createStepActivity, finishedStep } from "./step.ts";
import { createThink } from "./think.ts";
import { createTool } from "./tool.ts";
import type { ToolCalls } from "./tool-calls.ts";
import { createDescribeTools, createFindTool } from "./tool-finder.ts";
import type { ToolRegistry } from "./tool-registry.ts";
import type { UnderWay } from "./under-way.ts";
import { Threads } from "./threads.ts";
import { createValues } from "./values.ts";

export interface ActivityDeps {
  database: Database;
  client: Client;
  record: RunRecord;
  notices: NoticeSettings;
  models: Models;
  budgets: Budgets;
  modelCalls: ModelCalls;
  embeddings: Embeddings;
  quotas: Quotas;
  /** Whom live words are told. */
  announce: Announce;
  tools: ToolRegistry;
  mcp: McpServers;
  schemas: IsolatedSchemas;
  redact: Redact;
  /** Takes down how they are called. */
  calls: ToolCalls;
  underWay: UnderWay;
  /** What expressions of scheduled runs see as `env`. */
  env: Record<string, string>;
  /** Hosts that the `http` step may reach although they are private. */
  httpAllow: string[];
  /** Sign what is sent to webhooks; by `tenant/name`. */
  webhookSecrets: Record<string, string>;
}

/** Everything our workflows ask of the outside. Each is safe to repeat. */
export function createActivities(deps: ActivityDeps): Activities {
  const { database, budgets, modelCalls, embeddings } = deps;
  const notices = new Notices(deps.client, deps.notices);
  const record = notices.telling(deps.record);
  const effects = new EffectLedger(database);
  const threads = new Threads(database, effects);
  const step = { database, record, effects, schemas: deps.schemas };
  const loadPlan = createLoadPlan(deps);
  const locks = createLocks(deps.client);
  const find = createFindTool(deps);
  const tool = createTool({ database, find, effects, calls: deps.calls, budgets, redact: deps.redact });
  const llm = { ...deps, calls: modelCalls, cache: new AnswerCache(database) };
  const guarding = { schemas: deps.schemas, find, tool, llm };
  const quick = {
    ...createValues(deps),
    record: async ({ run, events }) => void (await record.append(run, events)),
    brief: createBrief({
      database,
      embeddings,
      describeTools: createDescribeTools({ ...deps, find }),
      plans: new Plans(database),
      models: deps.models,
      threads,
    }),
    admit: ({ tenant, agent }) => refuseInactive(database, tenant, agent),
    addExchange: createAddExchange(database, threads),
    finished: (step) => finishedStep(database, step),
    loadPlan: async (call) => ({ plan: (await loadPlan(call)) as unknown as Json, ...(await holdsOf(database, call)) }),
    hold: ({ tenant, run, holds }) => hears(deps.client, { id: run, tenant }, holds),
    loadLedger: createLoadLedger(database, record),
    loadPage: ({ tenant, page }) => stored(database, tenant, page),
    leftByWindow: createLeftByWindow(database),
    raiseBudgets: createRaiseBudgets(deps),
    prepareRun: async (call) => ({ version: (await loadPlan(call)).version, env: deps.env }),
    askLock: locks.askLock,
    sendMessage: createSendMessage(deps),
  } satisfies Partial<Activities>;
  const toolStep = createStepActivity<ToolFields>("tool", step, async (fields, _, context) => {
    if (Context.current().info.isLocal && !deps.tools.get(fields.tool).short) throw notShort(fields.tool);
    return tool(fields, context);
  });
  return {
    llm: createStepActivity("llm", step, onBehalf(database, createLlm(llm, guarding))),
    think: createStepActivity("think", step, createThink({ ...llm, ...guarding, database, threads })),
    tool: toolStep,
    shortTools: createShortTools(toolStep, deps.underWay),
    http: createStepActivity("http", step, createHttpStep({ ...deps, http: createHttp({ allow: deps.httpAllow }), effects })),
    ...mapValues({ broadcast: createBroadcast(deps) }, refusing),
    deliver: createDeliver({ ...deps, post: createPostMessage(deps) }),
    ...createAgentMail(deps),
    childEnd: createChildEnd(deps.client),
    peopleAsked: createPeopleAsked(database),
    endedRuns: locks.endedRuns,
    embedQuery: async ({ text, ...owner }) => (await embeddings.ofQuery(text, owner, ofNobody(owner))) ?? null,
    reconcile: createReconcile({ ...deps, record, autoPause: createAutoPause(database, notices) }),
    sendNotice: createSendNotice(deps.notices),
    spreadPause: createSpreadPause(deps),
    ...mapValues(quick, refusing),
  } as Activities;
}

function createLoadPlan({
  database,
  schemas,
}: Pick<ActivityDeps, "database" | "schemas">): (call: Parameters<Activities["loadPlan"]>[0]) => Promise<Plan> {
  const plans = new Plans(database);
  return async ({ tenant, workflow, version, planHash, input }) => {
    const plan =
      version !== undefined && planHash !== undefined
        ? (await plans.frozen(tenant, { workflow, version, planHash })).plan
        : await plans.load(tenant, workflow, version);
    const [first] = plan.input ? await schemas.checkPublished({ tenant }, plan.input, await resolve(database, tenant, input)) : [];
    if (first) throw new Fault("input_invalid", `The input of ${workflow} ${plan.version}: ${first.pointer || "/"} ${first.message}`);
    return plan;
  };
}

/** Part of a run is held with its parent. */
async function holdsOf(
  database: Database,
  { tenant, workflow, planHash }: Parameters<Activities["loadPlan"]>[0],
): Promise<{ holds?: Holds }> {
  if (planHash !== undefined) return {};
  const holds = await platformHolds(database, tenant, workflow);
  return holds.holds.length === 0 ? {} : { holds };
}

/** The step says `short: true`, the tool does not: the walk makes the call as any other. */
const notShort = (tool: string): ApplicationFailure =>
  ApplicationFailure.create({ type: "not_short", message: `${tool} is not declared \`short\`; it runs as an activity of its own.` });

/** A fault ends the quick activities for good; anything else (Postgres away) is tried again. */
const refusing =
  <Args extends unknown[], Result>(activity: (...args: Args) => Promise<Result>) =>
  async (...args: Args): Promise<Result> => {
    try {
      return await activity(...args);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const { code, problem } = error;
      throw ApplicationFailure.create({
        message: problem.detail,
        type: problem.type,
        nonRetryable: !faults[code].retryable,
        details: [problem],
      });
    }
  };

function mapValues<T extends object>(of: T, change: (value: never) => unknown): { [K in keyof T]: unknown } {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, change(value as never)])) as { [K in keyof T]: unknown };
}
