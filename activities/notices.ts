import { createHmac } from "node:crypto";
import { ApplicationFailure, Context } from "@temporalio/activity";
import { WorkflowExecutionAlreadyStartedError, type Client } from "@temporalio/client";
import { request } from "undici";
import type { Activities } from "../contracts/activities.ts";
import type { RunEvent } from "../contracts/events.ts";
import { approvalIdOf, noticeWorkflowId, queues, workflowIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { noticed, workflowTypes, type Notice } from "../contracts/messages.ts";
import { sha256 } from "../prisma/hash.ts";
import type { Record as RunRecord } from "./record.ts";

export interface NoticeSettings {
  /** Whoever operates the platform takes notices here; absent: none are sent. */
  url: string | undefined;
  secret: string | undefined;
  /** A workflow's page in the Temporal Web UI. */
  pageOf: (workflowId: string) => string;
}

/** Notices to whoever operates the platform. Each is sent by a workflow of its own, so that no restart and no outage loses it. */
export class Notices {
  readonly #client: Client;
  readonly #settings: NoticeSettings;

  constructor(client: Client, settings: NoticeSettings) {
    this.#client = client;
    this.#settings = settings;
  }

  /** What of a run's events a person must know of. Safe to repeat. */
  async ofEvents({ tenant, id }: { tenant: string; id: string }, events: readonly RunEvent[]): Promise<void> {
    if (this.#settings.url === undefined) return;
    for (const event of events) {
      const type = noticed.find((each) => each === event.type);
      if (type === undefined || event.data["isWindow"] === true) continue;
      const temporal = this.#settings.pageOf(workflowIdOf(tenant, id));
      const { self, data } = event.step === undefined ? needOf(id, event) : questionOf(id, event.step, event);
      await this.#tell(
        { type, tenant, at: new Date(event.time).toISOString(), links: { self, temporal }, data },
        `${id.slice(0, 150)}.${sha256(`${id} ${event.identity}`).slice(0, 16)}`,
      );
    }
  }

  /** A workflow has paused itself. Safe to repeat: one notice for each pause. */
  async ofPause({ tenant, workflow, at, why }: { tenant: string; workflow: string; at: Date; why: string }): Promise<void> {
    const links = { self: `/api/v2/workflows/${workflow}` };
    const told = { type: "workflow.paused", tenant, at: at.toISOString(), links, data: { workflow, why } } as const;
    await this.#tell(told, `${workflow}.${at.getTime()}`);
  }

  /** A log whose events are told outside where a person must know; first, so that who tries again does both again. */
  telling(record: RunRecord): RunRecord {
    return {
      ...record,
      append: async (run, events) => {
        await this.ofEvents(run, events);
        return record.append(run, events);
      },
    };
  }

  async #tell(told: Notice, name: string): Promise<void> {
    if (this.#settings.url === undefined) return;
    const workflowId = noticeWorkflowId(told.tenant, name);
    const options = { workflowId, taskQueue: queues.runs, args: [told], staticSummary: `${told.type} ${told.links.self}` };
    try {
      await this.#client.workflow.start(workflowTypes.notice, { ...options, workflowIdReusePolicy: "REJECT_DUPLICATE" });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
}

type Told = Pick<Notice, "data"> & { self: string };

const needOf = (run: string, { data }: RunEvent): Told => ({ self: `/api/v2/runs/${run}`, data: { run, needs: data["for"] ?? [] } });

/** Who is asked, now or again. What exactly, and in which payload, stands behind the link. */
function questionOf(run: string, path: string, { data }: RunEvent): Told {
  const approval = approvalIdOf(run, path);
  const { title, assignees = [], expiresAt } = data;
  const told = {
    run,
    path,
    approval,
    assignees,
    ...(title === undefined ? {} : { title }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
  return { self: `/api/v2/approvals/${approval}`, data: told };
}

/** Signed as standardwebhooks.com says, with the same `webhook-id` in each attempt. Taken: any 2xx; 410 ends the attempts. */
export function createSendNotice({ url, secret }: NoticeSettings): Activities["sendNotice"] {
  return async (notice) => {
    // Another worker may have it, or this one after its next start.
    if (url === undefined) throw new Error("TENUTO_NOTICE_URL is not set on this worker.");
    const body = JSON.stringify(notice);
    const id = Context.current().info.workflowExecution!.workflowId;
    const headers = { "content-type": "application/json", ...signedHeaders({ id, body, secret }) };
    const signal = AbortSignal.any([AbortSignal.timeout(limits.noticeTimeoutMs), Context.current().cancellationSignal]);
    const { statusCode, body: answer } = await request(url, { method: "POST", body, headers, signal });
    answer.on("error", () => undefined).destroy();
    if (statusCode >= 200 && statusCode < 300) return;
    const message = `The receiver of notices answered ${statusCode}.`;
    throw ApplicationFailure.create({ type: "http", message, nonRetryable: statusCode === 410 });
  };
}

/** As standardwebhooks.com says; unsigned without a secret. */
export function signedHeaders({ id, body, secret }: { id: string; body: string; secret: string | undefined }): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const named = { "webhook-id": id, "webhook-timestamp": timestamp };
  if (secret === undefined) return named;
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : Buffer.from(secret);
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return { ...named, "webhook-signature": `v1,${signature}` };
}
