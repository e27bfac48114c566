// By hand: node --import tsx tests/record-histories.ts [name …]
// Runs each recording on a real stack and keeps its Temporal history in tests/histories, in the folder of the engine that
// made it. Those of a released engine are never replaced: they prove that its runs survive a change of the walk.
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { recordings, type Recording } from "./recorded-definitions.ts";
import { openDatabase } from "../prisma/client.ts";
import { provideVectors } from "./servers/vector-stand-in.ts";
import { startHost, stopHost } from "./stack/host-process.ts";
import { FOREIGN_QUEUE } from "./stack/protocol.ts";

const folder = path.join(import.meta.dirname, "histories", `engine-${ENGINE_VERSION}`);
const BYTES_MAX = 100 * 1_024;

// The client reads where the stack is when it is loaded.
process.env["TENUTO_TEST_STACK"] ??= JSON.stringify(await startHost());
const { admin, facts, host, Place } = await import("./stack/client.ts");
try {
  await mkdir(folder, { recursive: true });
  const child = await admin.publish({ steps: [{ id: "a", type: "set", values: "${input.n + 1}" }] }, "recorded-child");
  const agent = "recorded-agent";
  await done("/api/v2/agents", { name: agent, version: "1.0.0", instructions: "Answer.", model: "local/extractive" });
  const all = Object.entries(recordings({ child, foreignQueue: FOREIGN_QUEUE, agent }));
  const named = process.argv.slice(2);
  const wanted = all.filter(([name]) => (named.length > 0 ? named.includes(name) : !existsSync(fileOf(name))));
  for (const [name, recording] of wanted) await record(name, recording);
  await recordOthers();
  process.stdout.write(`Recorded: ${wanted.map(([name]) => name).join(", ") || "nothing; all are there"}.\n`);
} finally {
  await stopHost();
}

/** Workflow types beside `run`: what makes each of them run is done here. */
async function recordOthers(): Promise<void> {
  const set = { id: "a", type: "set", values: 1 };
  const locked = await admin.publish({ steps: [{ id: "s", type: "sequence", lock: { key: "recorded" }, steps: [set] }] }, "recorded-lock");
  await (await admin.start(locked)).end();
  await done("/api/v2/schedules", { id: "recorded", workflow: locked, every: "1h" });
  await done("/api/v2/schedules/recorded/trigger");
  await done("/api/v2/messages", { to: "recorded-agent", messageType: "question", payload: "One. Two." });
  const place = new Place();
  await place.script({ status: 400 });
  await (await admin.begin({ steps: [{ id: "a", type: "http", url: place.url, onError: "park" }] })).until("run.needs_attention");
  await searchByMeaning();
  for (const type of ["embed", "maintenance", "lock", "fire", "spreadPause", "notice", "delivery", "mailbox"]) {
    if (type === "spreadPause") await done(`/api/v2/workflows/${locked}/pause`);
    const file = path.join(folder, `${type}.json`);
    if (!existsSync(file)) await keep(file, await host.historyOfType(type));
  }
}

async function searchByMeaning(): Promise<void> {
  const database = openDatabase(facts.databaseUrl, 1);
  await provideVectors(database);
  const memories = "/api/v2/agents/recorded-agent/memories";
  await done(memories, { text: "Ada drives a Volvo." });
  while ((await database.memory.count({ where: { embeddedBy: { not: null } } })) === 0) await host.historyOfType("maintenance");
  await admin.get(`${memories}/search?text=vehicles`);
  await database.$disconnect();
}

async function done(address: string, body: object = {}): Promise<void> {
  const { status, body: answer } = await admin.post(address, body);
  if (status >= 300) throw new Error(`${address}: ${JSON.stringify(answer)}`);
}

async function record(name: string, { steps, input = {}, more = {}, during, child, isOfFirst = false }: Recording): Promise<void> {
  const run = await admin.begin({ ...more, steps }, { url: new Place().url, ...input });
  await during?.(run, admin);
  await run.end();
  const id = child === undefined ? run.id : `${run.id}.${child}`;
  await keep(fileOf(name), await host.history("default", id, isOfFirst));
}

async function keep(file: string, history: unknown): Promise<void> {
  const text = JSON.stringify(history)
    .replaceAll(/"identity":"[^"]*"/g, '"identity":"recorded"')
    // Where the files lay on this machine; no replay looks at it.
    .replaceAll(/"stackTrace":"(?:[^"\\]|\\.)*"/g, '"stackTrace":""');
  if (text.length > BYTES_MAX) throw new Error(`${file} would have ${text.length} bytes; at most ${BYTES_MAX} are kept.`);
  await writeFile(file, `${text}\n`);
}

function fileOf(name: string): string {
  return path.join(folder, `run-${name}.json`);
}
