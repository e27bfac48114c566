import { accessSync, constants, mkdirSync } from "node:fs";
import pc from "picocolors";
import { readSettings, type Settings } from "../settings.ts";
import { lookAtMemorySearch, lookAtPostgres, lookAtRedis, lookAtTemporal } from "./doctor-servers.ts";
import { readLaptop, type Laptop } from "./laptop.ts";
import { runningStack } from "./orphans.ts";
import { isFree, portVariables } from "./ports.ts";
import { findProgram, outputOf } from "./programs.ts";

export interface Finding {
  part: string;
  /** "note": works without it, less well. */
  state: "good" | "note" | "missing";
  found: string;
  mend?: string;
}

/** `npm run doctor`: what a run needs, what was found of it, how to mend the rest. Gives the exit code. Prints no secret. */
export async function doctor(): Promise<number> {
  const settings = readSettings();
  const laptop = readLaptop();
  const servers = [lookAtTemporal(settings, laptop), lookAtPostgres(settings), lookAtRedis(settings, laptop), lookAtMemorySearch(settings)];
  const findings: Finding[] = [
    { part: "Node", state: "good", found: process.versions.node },
    ...(await Promise.all([lookAtClient(), ...servers, lookAtGo(laptop), lookAtPorts(settings, laptop)])),
    lookAtModels(settings),
    lookAtStateDir(settings),
  ];
  for (const finding of findings) console.log(textOf(finding));
  return findings.some(({ state }) => state === "missing") ? 1 : 0;
}

function textOf({ part, state, found, mend }: Finding): string {
  const mark = { good: pc.green("✓"), note: pc.yellow("–"), missing: pc.red("✗") }[state];
  const line = `${mark} ${part.padEnd(16)} ${found}`;
  return mend === undefined ? line : `${line}\n${" ".repeat(19)}${pc.dim(mend)}`;
}

// The bootstrap has compared node_modules with the lock file before this ran; a broken package shows when it is loaded.
async function lookAtClient(): Promise<Finding> {
  try {
    await import("../prisma/client.ts");
    return { part: "Dependencies", state: "good", found: "as package-lock.json names them; Prisma client generated" };
  } catch (error) {
    return { part: "Dependencies", state: "missing", found: String(error), mend: "npm ci --ignore-scripts, then npm run generate" };
  }
}

async function lookAtGo({ searchPath }: Laptop): Promise<Finding> {
  const go = findProgram("go", searchPath);
  const version = go && (await outputOf(go, ["version"]));
  if (version) return { part: "Go", state: "good", found: version };
  return {
    part: "Go",
    state: "note",
    found: "none",
    mend: "Only needed to build the Temporal CLI where it cannot be downloaded: https://go.dev/dl",
  };
}

function lookAtModels(settings: Settings): Finding {
  const providers = [
    settings.OPENAI_API_KEY && "OPENAI_API_KEY",
    settings.OPENAI_BASE_URL && `OPENAI_BASE_URL (${new URL(settings.OPENAI_BASE_URL).host})`,
    settings.ANTHROPIC_API_KEY && "ANTHROPIC_API_KEY",
  ].filter((name) => name !== undefined && name !== "");
  if (providers.length > 0) return { part: "Models", state: "good", found: `${providers.join(", ")}; built-in "local"` };
  const mend = "Set OPENAI_API_KEY, ANTHROPIC_API_KEY, or OPENAI_BASE_URL for Ollama or vLLM.";
  return { part: "Models", state: "note", found: 'only the built-in "local" model', mend };
}

async function lookAtPorts(settings: Settings, { ports }: Laptop): Promise<Finding> {
  const owner = await runningStack(settings.stateDir);
  if (owner !== undefined) return { part: "Ports", state: "good", found: `a stack of ours runs here (process ${owner})` };
  const names = Object.keys(ports) as (keyof typeof ports)[];
  const free = await Promise.all(names.map((name) => isFree(ports[name])));
  const taken = names.filter((_, index) => !free[index]);
  if (taken.length === 0) return { part: "Ports", state: "good", found: `${names.map((name) => ports[name]).join(", ")} are free` };
  const mend = `Stop what uses them, or set ${taken.map((name) => portVariables[name]).join(", ")}.`;
  return { part: "Ports", state: "missing", found: `${taken.map((name) => `${ports[name]} (${name})`).join(", ")} in use`, mend };
}

function lookAtStateDir({ stateDir }: Settings): Finding {
  try {
    mkdirSync(stateDir, { recursive: true });
    accessSync(stateDir, constants.W_OK);
    return { part: "State directory", state: "good", found: stateDir };
  } catch (error) {
    return { part: "State directory", state: "missing", found: String(error), mend: "Set TENUTO_STATE_DIR to a folder you may write to." };
  }
}
