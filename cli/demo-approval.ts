import { writeFile } from "node:fs/promises";
import path from "node:path";
import pc from "picocolors";
import type { Settings } from "../settings.ts";
import { ask, type EventAnswer, type Server } from "./api-client.ts";

/**
 * Answer the question of a run as the person `demo-reviewer`, with a key of that person's own: the platform's key could decide
 * as well, but the record should name who was asked. With `ask` the key is left in the state directory and the person at the terminal
 * decides by curl.
 */
export async function answerApproval(
  server: Server,
  { data }: EventAnswer,
  review: { settings: Settings; options: { ask: boolean } },
): Promise<void> {
  const id = String(data["id"]);
  const { key } = await reviewerKey(server);
  const decision = `/api/v2/approvals/${encodeURIComponent(id)}/decision`;
  if (review.options.ask) return printQuestion(server, { decision, key, stateDir: review.settings.stateDir });
  const body = JSON.stringify({ decision: "approve", comment: "Approved by the demo; use --ask to decide yourself." });
  const answer = await ask<{ status: string; decidedBy: string }>({ ...server, apiKey: key }, decision, { method: "POST", body });
  console.log(pc.dim(`      ${answer.status} by ${answer.decidedBy} over the API (npm run demo -- --ask leaves it to you)`));
}

/** The same key within a day: it is derived from the Idempotency-Key. */
const reviewerKey = (server: Server): Promise<{ key: string }> =>
  ask(server, "/api/v2/keys", {
    method: "POST",
    body: JSON.stringify({ principal: "demo-reviewer", kind: "person", roles: ["reviewer"] }),
    idempotencyKey: "demo-reviewer",
  });

interface Question {
  decision: string;
  key: string;
  stateDir: string;
}

async function printQuestion(server: Server, { decision, key, stateDir }: Question): Promise<void> {
  const keyFile = path.join(stateDir, "demo-reviewer-key");
  await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
  console.log(`    It waits for you; in another terminal, with ${pc.bold("approve")} or ${pc.bold("reject")}:\n`);
  console.log(
    `curl -X POST ${new URL(decision, server.url).href} \\\n` +
      `  -H "Authorization: Bearer $(cat '${keyFile}')" \\\n` +
      `  -H 'Content-Type: application/json' -d '{"decision":"approve","comment":"fine"}'\n`,
  );
}
