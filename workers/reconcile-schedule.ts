import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client } from "@temporalio/client";
import { queues, scheduleIds } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes } from "../contracts/messages.ts";

/** The schedule that heals the record; made by the first worker of a namespace. Fires now, too: the worker before may have died. */
export async function ensureReconcileSchedule(client: Client): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: scheduleIds.reconcile,
      spec: { intervals: [{ every: limits.reconcileEveryMs }] },
      action: {
        type: "startWorkflow",
        workflowType: workflowTypes.maintenance,
        workflowId: scheduleIds.reconcile,
        taskQueue: queues.runs,
        args: [],
      },
      policies: { overlap: ScheduleOverlapPolicy.BUFFER_ONE, catchupWindow: "1 minute" },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(scheduleIds.reconcile).trigger(ScheduleOverlapPolicy.BUFFER_ONE);
  }
}
