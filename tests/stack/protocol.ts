import type { Duration } from "@temporalio/common";
import type { Json } from "../../contracts/json.ts";
import type { Origin, UpdateArguments } from "../../contracts/messages.ts";
import type { CampaignName } from "../chaos/campaigns.ts";
import type { TrialOptions, Verdict } from "../chaos/trial.ts";
import type { Tool } from "@modelcontextprotocol/sdk/types.js";
import type { McpCall } from "../servers/mcp-server.ts";
import type { ModelReply } from "../servers/model-reply.ts";
import type { Replays } from "./replays.ts";
import type { Recorded, Reply } from "../servers/scripted-server.ts";

/** What the tests know of the stack that runs for them. */
export interface Facts {
  /** Where the host takes its orders. */
  hostUrl: string;
  apiUrl: string;
  /** The platform's own key. */
  apiKey: string;
  temporalAddress: string;
  databaseUrl: string;
  redisUrl: string;
  /** Where API and worker write their logs. */
  logs: string;
  /** The outside world that `http` steps call. */
  ledgerUrl: string;
  /** An MCP server at each of its paths. */
  mcpUrl: string;
}

export type Server = "redis" | "postgres" | "temporal";
export type Part = "api" | "worker" | Server;

/** A model's answer as it travels to the host. */
export type ScriptedAnswer = ModelReply;

/** What tests can ask of the host, one JSON request each. Replies of servers must be plain JSON: bodies as text. */
export interface HostCommands {
  /** One trial of a fault campaign. */
  chaos(campaign: CampaignName, options: TrialOptions): Promise<Verdict>;
  /** The next answers for a path of the ledger. */
  scriptLedger(path: string, replies: Reply[]): void;
  /** Answer nothing at a path of the ledger until it is released. */
  holdLedger(path: string): void;
  releaseLedger(path: string): void;
  /** Resolves when a path has been called so often; gives all its calls. */
  ledgerCalls(path: string, atLeast: number): Promise<Recorded[]>;
  /** The next answers of the model `openai/<name>`; afterwards it echoes. */
  scriptModel(name: string, replies: ScriptedAnswer[]): void;
  modelCalls(name: string, atLeast: number): Promise<Recorded[]>;
  /** The next answer, a stream: held back until it is released, and its second half until it is released again. */
  holdModel(name: string, reply: ScriptedAnswer): void;
  releaseModel(name: string): void;
  /** Resolves when somebody is told what is said in a run while it is said. */
  untilWatched(run: string): Promise<void>;
  /** Resolves when the model has had time to answer so often. */
  modelAnswered(name: string, times: number): Promise<void>;
  mcpCalls(path: string): McpCall[];
  mcpLists(path: string): number;
  mcpOffer(path: string, tools: Tool[]): void;
  mcpWrite(path: string, page: string): void;
  /** kill -9; resolves when the process is gone. */
  kill(part: Part): Promise<void>;
  /** Ask it to end; resolves when it has. */
  end(part: Part): Promise<void>;
  /** Start a part that was killed; resolves when it serves. */
  start(part: Part): Promise<void>;
  /** Start whatever is gone. */
  heal(): Promise<void>;
  /** Size of a run's Temporal history. */
  historySize(tenant: string, run: string): Promise<{ events: number; bytes: number }>;
  /** A decision as the API sends it, but with all patience. */
  decide(tenant: string, run: string, decision: UpdateArguments["decide"]): Promise<unknown>;
  /** Resolves when the run's workflow has nothing left to do at the moment: no call in flight, no task waiting. */
  settle(tenant: string, run: string): Promise<void>;
  /** Nobody can write about the run from now on. */
  holdRow(run: string): Promise<void>;
  /** Resolves when somebody wants to. */
  untilRowWanted(run: string): Promise<void>;
  releaseRow(run: string): Promise<void>;
  /** Compare Temporal with the record now. */
  reconcile(): Promise<void>;
  /** What there is when the worker dies between Temporal's close and the log's last event. */
  loseEnd(run: string): Promise<void>;
  /** Put events into a run's mailbox as other runs do, by signals. */
  fillMailbox(tenant: string, run: string, count: number): Promise<void>;
  /** Start a run that goes on in a new execution whenever its history has more events than this. */
  startContinuing(workflow: string, input: Json, events: number, origin?: Origin): Promise<string>;
  /** Start a run with a plan that no checker has seen, or whose tasks are handed in when they have lasted four fifths of a time. */
  startPlan(plan: Json, taskTimeout?: Duration): Promise<string>;
  /** Runs that the list of the Temporal Web UI finds with a filter. */
  listed(query: string): Promise<string[]>;
  /** What the Temporal Web UI shows of a run as its current details. */
  details(tenant: string, run: string): Promise<string>;
  /** Forget a run's history, as Temporal does after the retention. */
  forget(tenant: string, run: string): Promise<void>;
  /** Forget the answers that were kept for an Idempotency-Key, as after a day, or when the API died before it kept one. */
  forgetAnswers(key: string): Promise<void>;
  /** How many executions the run has had. */
  executions(tenant: string, run: string): Promise<number>;
  /** Send a lock as many messages as one execution of it takes; gives how many executions it has had then. */
  wearLock(tenant: string, key: string): Promise<number>;
  /** The same for an agent's mailbox. */
  wearMailbox(tenant: string, agent: string): Promise<number>;
  /** End an agent's mailbox as an operator can, and compare Temporal with the record. */
  loseMailbox(tenant: string, agent: string): Promise<void>;
  /** Begin the run's execution anew, behind its first workflow task, as an operator can. */
  reset(tenant: string, run: string): Promise<void>;
  /** The history in proto3 JSON, as `Worker.runReplayHistories` takes it: of the run's last execution, or of its first. */
  history(tenant: string, run: string, isOfFirst?: boolean): Promise<unknown>;
  /** Walk the histories of ended runs, and of their children, again, each as a whole: how many there are, and what broke. */
  replays(tenant: string, runs: string[]): Promise<Replays>;
  /** The same of any workflow of the type. */
  historyOfType(type: string): Promise<unknown>;
}

export type HostAnswer = { value: unknown } | { error: string };

/** What webhooks of tenant `default` are signed with that name the secret `test`. */
/** Path of the place that takes the stack's notices. */
export const NOTICES = "/notices";

/** Secrets of the tests' API and worker: `secrets.test.ts` uses them all, and looks for them everywhere. */
export const canaries = {
  model: "canary-of-the-models-key-7Q",
  mcpHeader: "canary-of-a-header-8R",
  mcpProcess: "canary-of-a-process-9S",
  mcpPassword: "canary-of-a-user-1T",
  mcpQuery: "canary-of-a-query-2U",
  sql: "canary-of-a-database-3V",
  webhook: "canary-of-a-webhook-4W",
  toolError: "canary-of-a-tool's-error-5X",
  toolResult: "canary/of+a=tool's result-6Y",
};

export const WEBHOOK_SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHM=";

/** Task queue of the foreign worker. */
export const FOREIGN_QUEUE = "foreign";
