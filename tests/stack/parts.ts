import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import net from "node:net";
import { Redis } from "ioredis";
import type { Stack } from "../../cli/stack.ts";
import type { Part, Server } from "./protocol.ts";

/** How a server was started, read from /proc before it is killed: the stack starts each of them only once. */
interface Recipe {
  command: string;
  args: string[];
  uid: number;
  gid: number;
  port: number;
}

/** The processes that tests kill and start again. */
export class Parts {
  readonly #stack: Stack;
  readonly #servers = new Map<Server, { pid: number; recipe: Recipe }>();
  readonly #started: ChildProcess[] = [];
  /** The newest is last: the one that is killed. */
  #workers: number[];

  constructor(stack: Stack) {
    this.#stack = stack;
    this.#workers = [stack.worker!.pid!];
    if (process.platform !== "linux") return;
    for (const part of ["redis", "postgres", "temporal"] as const) {
      const pid = stack.parts.find(({ name }) => name === part)?.pid;
      const url = { redis: stack.redisUrl, postgres: stack.databaseUrl, temporal: `http://${stack.temporalAddress}` }[part];
      if (pid !== undefined && url !== undefined) this.#servers.set(part, { pid, recipe: recipeOf(part, pid, Number(new URL(url).port)) });
    }
  }

  async kill(part: Part, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const pid = this.#pidOf(part);
    process.kill(pid, signal);
    while (isAlive(pid)) await new Promise((later) => setTimeout(later, 5));
    this.#workers = this.#workers.filter((worker) => worker !== pid);
  }

  /** Stop a server without ending it: its connections stay and nothing answers on them. */
  freeze(part: Server): void {
    for (const pid of familyOf(this.#pidOf(part))) process.kill(pid, "SIGSTOP");
  }

  thaw(part: Server): void {
    for (const pid of familyOf(this.#pidOf(part))) process.kill(pid, "SIGCONT");
  }

  isAlive(part: Part): boolean {
    return isAlive(this.#pidOf(part));
  }

  async start(part: Part): Promise<void> {
    if (part === "api") await this.#stack.startApi();
    else if (part === "worker") this.#workers.push((await this.#stack.startWorker()).pid!);
    else await this.#startServer(part);
  }

  async heal(): Promise<void> {
    // API and worker need the servers when they start.
    for (const part of [...this.#servers.keys(), "api"] as const) if (!isAlive(this.#pidOf(part))) await this.start(part);
    this.#workers = this.#workers.filter(isAlive);
    if (this.#workers.length === 0) await this.start("worker");
    while (this.#workers.length > 1) await this.kill("worker", "SIGTERM");
    await this.ready();
    await this.#rejoined();
  }

  /** Resolves when the API says that all it needs is there. */
  async ready(): Promise<void> {
    while (!(await isReady(this.#stack.apiUrl))) await new Promise((later) => setTimeout(later, 20));
  }

  /** Resolves when API and worker, which may have lost Redis, have come back to it: until then what is said live is lost. */
  async #rejoined(): Promise<void> {
    if (!this.#servers.has("redis")) return;
    const redis = new Redis(this.#stack.redisUrl!);
    const isThere = (clients: string): boolean => ["tenuto-api", "tenuto-worker"].every((name) => clients.includes(` name=${name} `));
    while (!isThere((await redis.client("LIST")) as string)) await new Promise((later) => setTimeout(later, 20));
    redis.disconnect();
  }

  /** End what was started here; the stack ends its own. */
  async stop(): Promise<void> {
    for (const child of this.#started) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((exit) => child.once("exit", exit));
      child.kill("SIGINT");
      await gone;
    }
  }

  #pidOf(part: Part): number {
    const pid = part === "api" ? this.#stack.api?.pid : part === "worker" ? this.#workers.at(-1) : this.#servers.get(part)?.pid;
    if (pid === undefined) throw new Error(`There is no ${part} of ours to kill.`);
    return pid;
  }

  async #startServer(part: Server): Promise<void> {
    const known = this.#servers.get(part);
    if (!known) throw new Error(`It is not known how ${part} is started.`);
    const { command, args, uid, gid, port } = known.recipe;
    for (let tries = 0; tries < 50; tries += 1) {
      const child = spawn(command, args, { uid, gid, stdio: "ignore", detached: true });
      this.#started.push(child);
      let isOver = false;
      child.once("exit", () => (isOver = true));
      while (!isOver && !(await accepts(port))) await new Promise((later) => setTimeout(later, 20));
      if (!isOver) return void this.#servers.set(part, { ...known, pid: child.pid! });
      // Postgres refuses to start while a process of the killed one still holds its memory.
      await new Promise((later) => setTimeout(later, 200));
    }
    throw new Error(`${part} does not come back: ${command} ${args.join(" ")}`);
  }
}

function recipeOf(part: Server, pid: number, port: number): Recipe {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const id = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)![1]);
  const [command, ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  // Redis writes its address behind its name and nothing behind that.
  const redis = ["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no"];
  return { command: command!.split(" ")[0]!, args: part === "redis" ? redis : args, uid: id("Uid"), gid: id("Gid"), port };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A process and those it has started. */
function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  return [pid, ...children.filter((child) => child !== "").map(Number)];
}

// A connection that was open when the API was killed may break once more.
const isReady = (apiUrl: string): Promise<boolean> =>
  fetch(`${apiUrl}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );

const accepts = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    const settle = (open: boolean): void => {
      socket.destroy();
      answer(open);
    };
    socket.once("connect", () => settle(true)).once("error", () => settle(false));
  });
