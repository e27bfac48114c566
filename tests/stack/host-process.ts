import { spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Facts } from "./protocol.ts";

const here = path.dirname(fileURLToPath(import.meta.url));
let host: ChildProcess | undefined;

/** Start the program that runs the stack. What it says is told only when it fails. */
export async function startHost(): Promise<Facts> {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const child = spawn(process.execPath, ["--import", tsx, path.join(here, "host.ts")], { stdio: ["ignore", "pipe", "pipe", "ipc"] });
  host = child;
  let words = "";
  for (const stream of [child.stdout!, child.stderr!])
    stream.on("data", (chunk: Buffer) => (words = (words + chunk.toString()).slice(-20_000)));
  return new Promise<Facts>((resolve, reject) => {
    child.once("message", (message: { facts: Facts }) => resolve(message.facts));
    child.once("exit", (code) => {
      // Once it has started nobody hears the rejection.
      if (code !== 0) process.stderr.write(`The stack for the tests ended with code ${code}.\n${words}\n`);
      reject(new Error("The stack for the tests did not start."));
    });
  });
}

export async function stopHost(): Promise<void> {
  const child = host;
  if (!child || child.exitCode !== null) return;
  const gone = new Promise((exit) => child.once("exit", exit));
  child.kill("SIGTERM");
  await gone;
}
