import { readFile } from "node:fs/promises";
import pc from "picocolors";
import { ask, followRun, Refused, type EventAnswer, type RunAnswer, type Server } from "./api-client.ts";

export interface StartOptions {
  workflow: string;
  version?: string;
  /** JSON, or the name of a file that holds it. */
  input?: string;
  wait: boolean;
  key?: string;
  /** What a shell puts for the API key, in lines to paste. */
  bearer: string;
}

/** `tenuto start <workflow>`: start a run, say where it can be seen, and with `wait` tell its steps as they happen, then its output. */
export async function startRun(server: Server, options: StartOptions): Promise<number> {
  const { workflow, version, key } = options;
  const input = options.input === undefined ? undefined : await readInput(options.input);
  const body = JSON.stringify({ workflow, version, input });
  try {
    const run = await ask<RunAnswer>(server, "/api/v2/runs", { method: "POST", body, idempotencyKey: key });
    console.log(`${pc.bold(run.id)} ${run.status}`);
    console.log(`  API       ${new URL(run.links.self, server.url).href}`);
    console.log(`  Temporal  ${run.links.temporal}`);
    return options.wait ? await tell(server, run.id, options.bearer) : 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.error(`${error.problem.detail} [${error.problem.code}]`);
    for (const { pointer = "", message } of error.problem.errors ?? []) console.error(`  ${pointer} ${message}`);
    return 1;
  }
}

async function tell(server: Server, id: string, bearer: string): Promise<number> {
  for await (const event of followRun(server, id)) {
    console.log(lineOf(event));
    if (event.type === "approval.requested") console.log(questionOf(server, event, bearer));
  }
  const run = await ask<RunAnswer>(server, `/api/v2/runs/${id}?wait=30`);
  if (run.error) console.error(`${run.error.detail} [${run.error.code}]`);
  else console.log(JSON.stringify(run.output ?? null, null, 2));
  return run.status.startsWith("completed") ? 0 : 1;
}

const marks: Record<string, (text: string) => string> = {
  completed: pc.green,
  failed: pc.red,
  canceled: pc.yellow,
  waiting: pc.yellow,
};

function lineOf({ seq, type, step, data }: EventAnswer): string {
  const colour = marks[type.split(".")[1] ?? ""] ?? ((text: string) => text);
  const took = typeof data["durationMs"] === "number" ? pc.dim(` ${data["durationMs"]} ms`) : "";
  return `${pc.dim(String(seq).padStart(4))} ${colour(type.padEnd(20))} ${step ?? ""}${took}`;
}

/** What a person is asked, and the line that answers: without it the run would only seem to hang. */
function questionOf({ url }: Server, { data }: EventAnswer, bearer: string): string {
  const { href } = new URL(`/api/v2/approvals/${encodeURIComponent(String(data["id"]))}/decision`, url);
  const assignees = (data["assignees"] as string[] | undefined) ?? [];
  return [
    "",
    `  ${pc.bold(String(data["title"]))}`,
    `  Waits for ${assignees.length === 0 ? "any person" : assignees.join(", ")}. In another terminal, with "approve" or "reject":`,
    "",
    `curl -X POST ${href} \\`,
    `  -H "Authorization: Bearer ${bearer}" \\`,
    `  -H 'Content-Type: application/json' -d '{"decision":"approve"}'`,
    "",
  ].join("\n");
}

async function readInput(text: string): Promise<unknown> {
  if (isJson(text)) return JSON.parse(text) as unknown;
  const held = await readFile(text, "utf8").catch(() => undefined);
  if (held === undefined) throw new Error(`--input is neither JSON nor a file: ${text}`);
  if (!isJson(held)) throw new Error(`--input: the file ${text} does not hold JSON.`);
  return JSON.parse(held) as unknown;
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};
