import { setTimeout as later } from "node:timers/promises";
import type { Server } from "../cli/api-client.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { post } from "./over-http.ts";
import { quantile } from "./statistics.ts";
import { withStack, type Log } from "./test-bed.ts";

const agents = 20;
const perSecond = 20;

interface Sent {
  id: string;
  /** Of its 202. */
  at: number;
}

/**
 * From a message's 202 until the mailbox of its agent has it, at a steady pace, from one sender to several agents. They are paused
 * meanwhile: what is measured is the delivery, not the tasks that follow. Then they answer, and what was lost or done twice shows.
 */
export const measureMessages = ({ log, runs = 600 }: { log: Log; runs: number | undefined }): Promise<Figure[]> =>
  withStack({ log }, async ({ apiUrl: url, apiKey, databaseUrl }) => {
    const server = { url, apiKey };
    await eachAgent((name) => post(server, "/api/v2/agents", { name, version: "1.0.0", instructions: "Answer." }));
    await eachAgent((name) => post(server, `/api/v2/agents/${name}/state`, { state: "paused", why: "the benchmark" }));
    log("messages: warm-up");
    await sendAll(server, 100);
    log(`messages: ${runs}, ${perSecond} in a second`);
    const sent = await sendAll(server, runs);
    const times = await timesOf(databaseUrl, sent);
    await eachAgent((name) => post(server, `/api/v2/agents/${name}/state`, { state: "active", why: "the benchmark" }));
    log("messages: the agents answer");
    const answers = await answersTo(databaseUrl, sent);
    return [
      figure("messages: sent", { value: sent.length, unit: "messages" }),
      figure("messages: from the 202 to the mailbox, p50", { value: quantile(times, 0.5), unit: "ms" }),
      figure("messages: from the 202 to the mailbox, p95", { value: quantile(times, 0.95), unit: "ms", demand: 100 }),
      figure("messages: lost", { value: answers.filter((count) => count === 0).length, unit: "messages" }),
      figure("messages: doubled", { value: answers.filter((count) => count > 1).length, unit: "messages" }),
    ];
  });

async function eachAgent(act: (name: string) => Promise<unknown>): Promise<void> {
  for (let n = 0; n < agents; n++) await act(`bench-${n}`);
}

/** One after the other, each when its time has come. */
async function sendAll(server: Server, count: number): Promise<Sent[]> {
  const sent: Sent[] = [];
  const startedAt = Date.now();
  for (let n = 0; n < count; n++) {
    await later(Math.max(0, startedAt + (n * 1_000) / perSecond - Date.now()));
    const { id } = await post<{ id: string }>(server, "/api/v2/messages", { to: `bench-${n % agents}`, messageType: "bench", payload: n });
    sent.push({ id, at: Date.now() });
  }
  return sent;
}

/** Postgres runs on the same machine and says when, by the same clock. One that was there before its 202 took no time. */
async function timesOf(databaseUrl: string, sent: Sent[]): Promise<number[]> {
  for (;;) {
    const rows = await queryOnce<{ id: string; at: Date }>(
      databaseUrl,
      "SELECT message_id AS id, delivered_at AS at FROM message_deliveries WHERE message_id = ANY($1::uuid[]) AND delivered_at IS NOT NULL",
      [sent.map(({ id }) => id)],
    );
    const deliveredAt = new Map(rows.map(({ id, at }) => [id, new Date(at).getTime()]));
    if (deliveredAt.size === sent.length) return sent.map(({ id, at }) => Math.max(0, deliveredAt.get(id)! - at));
    await later(500);
  }
}

/** How many runs each message was answered by, once none is under way. */
async function answersTo(databaseUrl: string, sent: Sent[]): Promise<number[]> {
  const open =
    "SELECT count(*)::int AS count FROM message_deliveries WHERE status IN ('accepted', 'delivered', 'working') AND recipient_kind = 'agent'";
  while ((await queryOnce<{ count: number }>(databaseUrl, open))[0]!.count > 0) await later(1_000);
  const rows = await queryOnce<{ by: string; count: number }>(
    databaseUrl,
    "SELECT started_by AS by, count(*)::int AS count FROM runs WHERE status = 'completed' GROUP BY started_by",
  );
  const counts = new Map(rows.map(({ by, count }) => [by, count]));
  return sent.map(({ id }) => counts.get(`message ${id}`) ?? 0);
}
