import { setTimeout as sleep } from "node:timers/promises";
import {
  ApplicationFailure,
  isGrpcServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  ServiceError,
  type Client,
  type WorkflowExecutionDescription,
} from "@temporalio/client";
import { Fault, isProblem } from "../contracts/faults.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { updates, type UpdateArguments } from "../contracts/messages.ts";

/** A workflow of one tenant, whose id only this tenant's runs can have. */
export interface RunAddress {
  temporal: Client;
  tenant: string;
  run: string;
  /** Until when its answer is waited for, in milliseconds since 1970, where that is sooner than in `updateDeadlineMs`. */
  answerBy?: number;
}

/**
 * Ask the run's workflow, with its answer. A refusal comes back as the fault that the workflow named; `unavailable` at once
 * when this process waits for as many answers as it may: one more would not come in time, and its work would be done all the same.
 */
export async function update<Name extends keyof UpdateArguments>(
  address: RunAddress,
  name: Name,
  message: { updateId: string; argument: UpdateArguments[Name] },
): Promise<unknown> {
  requireRoom();
  updatesUnderWay += 1;
  try {
    const send = (): Promise<unknown> =>
      reach(address, (handle) => handle.executeUpdate(updates[name], { updateId: message.updateId, args: [message.argument] }));
    return await untilHeard(send, Math.min(Date.now() + limits.updateUnheardMs, address.answerBy ?? Infinity));
  } finally {
    updatesUnderWay -= 1;
  }
}

let updatesUnderWay = 0;

/** What came while the run went on in another execution, or while its task failed, has not been heard: it is sent again. */
async function untilHeard<T>(send: () => Promise<T>, giveUpAt: number): Promise<T> {
  for (; ; await sleep(50)) {
    try {
      return await send();
    } catch (error) {
      if (!isUnheard(error) || Date.now() > giveUpAt) throw error;
    }
  }
}

// FAILED_PRECONDITION. The limit of updates is one, too; waiting does not lift it.
function isUnheard(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && cause.code === 9 && /update|workflow task/i.test(cause.details) && !isUpdateLimit(cause.details);
}

// An execution takes 2,000 updates (history.maxTotalUpdates).
const isUpdateLimit = (details: string): boolean => /limit.*update/i.test(details);

/** The same refusal for who would read much before. */
export function requireRoom(): void {
  if (updatesUnderWay >= limits.updatesUnderWayMax)
    throw new Fault("unavailable", `${updatesUnderWay} requests wait for their runs' answers already; ask again in a second.`);
}

/** One call to the run's workflow within the deadline. Unknown: `not_found`; over: `run_ended`; no answer: `unavailable`. */
export async function reach<T>(address: RunAddress, act: (handle: ReturnType<Client["workflow"]["getHandle"]>) => Promise<T>): Promise<T> {
  const { temporal, tenant, run, answerBy = Date.now() + limits.updateDeadlineMs } = address;
  try {
    return await temporal.withDeadline(answerBy, () => act(temporal.workflow.getHandle(workflowIdOf(tenant, run))));
  } catch (error) {
    throw isGone(error) ? await endedOrUnknown(address) : error;
  }
}

/** What Temporal knows about a run; undefined when it knows none (never started, another tenant's, or past retention). */
export async function describeRun({ temporal, tenant, run }: RunAddress): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await temporal.withDeadline(Date.now() + limits.updateDeadlineMs, () =>
      temporal.workflow.getHandle(workflowIdOf(tenant, run)).describe(),
    );
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** The fault behind an error of Temporal's client; undefined when the error is something else. */
export function temporalFault(error: unknown): Fault | undefined {
  if (error instanceof WorkflowUpdateFailedError) return refusal(error.cause);
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)
    return new Fault("unavailable", "No worker has answered in time; ask again with the same key.", { cause: error });
  const cause = error instanceof ServiceError ? error.cause : error;
  if (!isGrpcServiceError(cause)) return undefined;
  if (cause.code === 9 && isUpdateLimit(cause.details))
    return new Fault("mailbox_full", "The run has taken all the messages it can for now.", { cause: error });
  if (isUnheard(cause))
    return new Fault("unavailable", "The run could not answer in this moment; ask again with the same key.", { cause: error });
  return grpcMeansUnavailable.has(cause.code)
    ? new Fault("unavailable", "Temporal does not answer; try again.", { cause: error })
    : undefined;
}

// CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE
const grpcMeansUnavailable = new Set<number>([1, 2, 4, 8, 10, 14]);

function refusal(cause: unknown): Fault | undefined {
  if (!(cause instanceof ApplicationFailure)) return undefined;
  const problem: unknown = cause.details?.[0];
  if (isProblem(problem)) return Fault.of(problem);
  // The server's own words for an update that was accepted by a run which then ended.
  if (cause.type === "AcceptedUpdateCompletedWorkflow") return new Fault("run_ended", "The run ended before it could answer.");
  return undefined;
}

const isGone = (error: unknown): boolean =>
  error instanceof WorkflowNotFoundError ||
  (error instanceof WorkflowUpdateFailedError &&
    error.cause instanceof ApplicationFailure &&
    error.cause.type === "AcceptedUpdateCompletedWorkflow");

async function endedOrUnknown(address: RunAddress): Promise<Fault> {
  const description = await describeRun(address);
  return description ? new Fault("run_ended", `Run ${address.run} has ended.`) : new Fault("not_found", `No run ${address.run}.`);
}

/** Memo fields are whatever was stored; only text is of use here. */
export const memoText = (description: WorkflowExecutionDescription, field: string): string | undefined => {
  const value = description.memo?.[field] as Json | undefined;
  return typeof value === "string" ? value : undefined;
};

/** The first execution of the chain: the link that was given at the start stays right after continue-as-new. */
export const firstRunId = (description: WorkflowExecutionDescription): string =>
  // Servers before 1.26 leave it empty.
  description.raw.workflowExecutionInfo?.firstRunId || description.runId;
