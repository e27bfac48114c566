import { spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import { inheritedEnv } from "../cli/laptop.ts";
import { freePorts, type StackPorts } from "../cli/stack.ts";
import { portVariables } from "../cli/ports.ts";
import { makeStateDir, removeStateDir } from "./state-dir.ts";
import { median } from "./statistics.ts";
import type { Figure } from "./figure.ts";
import { loadOfMachine } from "./machine.ts";

const boots = 3;
const demandsMs = { cold: 15_000, warm: 5_000 };
const limitMs = 120_000;

/** `npm start`, from its first process to the moment it prints its links: everything serves. The servers are always its own. */
export async function measureBoot({ log }: { log: (line: string) => void }): Promise<Figure[]> {
  const times = { cold: [] as number[], warm: [] as number[] };
  for (let boot = 1; boot <= boots; boot++) {
    log(`boot: ${boot} of ${boots}`);
    const stateDir = await makeStateDir();
    let said = "";
    const hear = (text: string) => (said += text);
    try {
      times.cold.push(await bootOnce(stateDir, hear));
      times.warm.push(await bootOnce(stateDir, hear));
    } finally {
      await removeStateDir(stateDir, said);
    }
  }
  return (["cold", "warm"] as const).map((kind) => ({
    name: `boot.${kind}`,
    unit: "ms",
    value: median(times[kind]),
    against: demandsMs[kind],
    ratio: median(times[kind]) / demandsMs[kind],
    range: [Math.min(...times[kind]) / demandsMs[kind], Math.max(...times[kind]) / demandsMs[kind]],
    load: loadOfMachine(),
  }));
}

async function bootOnce(stateDir: string, hear: (text: string) => void): Promise<number> {
  const ports = await freePorts();
  const beganAt = performance.now();
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "../cli/bootstrap.mjs"), "start"], {
    env: { ...inheritedEnv(), ...environment(stateDir, ports) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.on("data", (chunk: Buffer) => hear(chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const last = () => void child.kill("SIGTERM");
  process.once("exit", last);
  try {
    await untilPrinted(child, `http://127.0.0.1:${ports.api}/api`);
    return performance.now() - beganAt;
  } finally {
    child.kill("SIGTERM");
    await ended;
    process.off("exit", last);
  }
}

function environment(stateDir: string, ports: StackPorts): NodeJS.ProcessEnv {
  const chosen = Object.entries(ports).map(([part, port]) => [portVariables[part as keyof StackPorts], String(port)]);
  return { TENUTO_STATE_DIR: stateDir, TEMPORAL_ADDRESS: "", DATABASE_URL: "", REDIS_URL: "", ...Object.fromEntries(chosen) };
}

function untilPrinted(child: ChildProcess, text: string): Promise<void> {
  let said = "";
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`The stack ${why}. It said:\n${said}`));
    const timer = setTimeout(() => fail(`does not serve after ${limitMs / 1_000} s`), limitMs);
    const hear = (chunk: Buffer) => {
      said += chunk.toString();
      if (!said.includes(text)) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout!.on("data", hear);
    child.stderr!.on("data", hear);
    child.once("exit", (code) => {
      clearTimeout(timer);
      fail(`ended while starting (exit code ${code})`);
    });
  });
}
