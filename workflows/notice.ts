import { proxyActivities } from "@temporalio/workflow";
import type { Activities } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import type { Notice } from "../contracts/messages.ts";
import { summaryText } from "./summary.ts";

/** Tells somebody outside that a person is needed: tried again until it is taken or `noticeKeepMs` have passed. Fails then. */
export async function notice(told: Notice): Promise<void> {
  const { sendNotice } = proxyActivities<Activities>({
    startToCloseTimeout: limits.noticeTimeoutMs + 5_000,
    scheduleToCloseTimeout: limits.noticeKeepMs,
    retry: { initialInterval: "5 seconds", backoffCoefficient: 2, maximumInterval: "1 hour" },
    summary: summaryText(`${told.type} ${told.links.self}`),
  });
  await sendNotice(told);
}
