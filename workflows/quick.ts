import { ActivityFailure, ApplicationFailure, proxyActivities, proxyLocalActivities } from "@temporalio/workflow";
import { isProblem, Fault } from "../contracts/faults.ts";
import type { Activities } from "../contracts/activities.ts";
import { uncancelled } from "./operation.ts";
import { summaryText } from "./summary.ts";
import { inTurn } from "./turns.ts";

type Result<Name extends Quick> = Awaited<ReturnType<Activities[Name]>>;

type Quick =
  | "record"
  | "store"
  | "evaluate"
  | "list"
  | "concat"
  | "validate"
  | "brief"
  | "admit"
  | "addExchange"
  | "loadPlan"
  | "hold"
  | "finished"
  | "askLock"
  | "prepareRun"
  | "sendMessage"
  | "deliver"
  | "unfinishedMail"
  | "openMail"
  | "answerMail"
  | Slow;
type Slow = "loadLedger" | "loadPage" | "leftByWindow" | "raiseBudgets";

const localMs = 2_000;

/**
 * Short, idempotent work: first one local attempt of at most 2 s, so that it costs one marker; when the outside is
 * slow or absent, a remote activity that is tried until it succeeds, so that workflow tasks are never held up.
 * Not cancelled with the run: what it does is part of ending well.
 */
export async function quick<Name extends Quick>(name: Name, args: Parameters<Activities[Name]>, summary: string): Promise<Result<Name>> {
  return uncancelled<Result<Name>>(async (): Promise<Result<Name>> => {
    try {
      return await locally(name, args, summary);
    } catch (error) {
      refuse(error);
      try {
        return await remotely(name, args, summary);
      } catch (last) {
        refuse(last);
        throw last;
      }
    }
  });
}

/** The same for what takes longer, or gives much: a workflow task could not hold several such answers in markers. */
export async function slow<Name extends Slow>(name: Name, args: Parameters<Activities[Name]>, summary: string): Promise<Result<Name>> {
  return uncancelled<Result<Name>>(async (): Promise<Result<Name>> => {
    try {
      return await remotely(name, args, summary, 5 * 60_000);
    } catch (error) {
      refuse(error);
      throw error;
    }
  });
}

function locally<Name extends Quick>(name: Name, args: Parameters<Activities[Name]>, summary: string): Promise<Result<Name>> {
  const activities = proxyLocalActivities<Activities>({
    startToCloseTimeout: localMs,
    scheduleToCloseTimeout: localMs,
    retry: { maximumAttempts: 1 },
    summary: summaryText(summary),
  });
  return inTurn(invoke(activities, name, args));
}

function remotely<Name extends Quick>(
  name: Name,
  args: Parameters<Activities[Name]>,
  summary: string,
  timeoutMs = 30_000,
): Promise<Result<Name>> {
  const activities = proxyActivities<Activities>({
    startToCloseTimeout: timeoutMs,
    retry: { initialInterval: 500, maximumInterval: 15_000 },
    summary: summaryText(summary),
  });
  return invoke(activities, name, args);
}

const invoke = <Name extends Quick>(activities: unknown, name: Name, args: Parameters<Activities[Name]>): Promise<Result<Name>> =>
  (activities as Record<Name, (...args: Parameters<Activities[Name]>) => Promise<Result<Name>>>)[name](...args);

/** An expected error of the work itself: trying it elsewhere would not help. */
function refuse(error: unknown): void {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof ApplicationFailure) || !cause.nonRetryable) return;
  const problem = cause.details?.[0];
  if (isProblem(problem)) throw Fault.of(problem);
}
