import path from "node:path";
import { endChild, saysReady, startChild, untilReady, type Child } from "./child.ts";
import { nodeArguments } from "./programs.ts";

export type RoleName = "API" | "worker";

const scripts: Record<RoleName, string> = { API: "api/main.ts", worker: "workers/main.ts" };

export interface RoleOptions {
  stateDir: string;
  env: NodeJS.ProcessEnv;
  keep: (child: Child) => Promise<void>;
  keepAlive: boolean;
  /** How long one may take until it serves. */
  readyMs?: number;
  log: (line: string) => void;
}

/** A process of ours that can be started any number of times; `child` is the newest. */
export interface Role {
  child: Child | undefined;
  start(): Promise<Child>;
  /** No more restarts. */
  retire(): void;
}

export function makeRole(name: RoleName, options: RoleOptions): Role {
  const role: Role = {
    child: undefined,
    async start() {
      const child = startChild(specOf(name, options));
      role.child = child;
      await options.keep(child);
      await untilReady(child, () => saysReady(child), options.readyMs).catch(async (error: unknown) => {
        // Left running it would be a second one beside the next that is started.
        await endChild(child);
        throw error;
      });
      if (options.keepAlive) void child.exited.then((how) => restart(child, how));
      return child;
    },
    retire() {
      options = { ...options, keepAlive: false };
    },
  };
  const restart = async (child: Child, how: string): Promise<void> => {
    if (!options.keepAlive || role.child !== child) return;
    options.log(`The ${name} ended by itself (${how}); starting it again. Its words: ${child.spec.logFile}`);
    await role.start().catch(async (error: unknown) => {
      options.log(String(error));
      await new Promise((later) => setTimeout(later, 5_000));
      if (role.child) await restart(role.child, "could not start");
    });
  };
  return role;
}

const root = path.dirname(import.meta.dirname);

const specOf = (name: RoleName, { stateDir, env }: RoleOptions) => ({
  name,
  command: process.execPath,
  args: nodeArguments(path.join(root, scripts[name])),
  env,
  cwd: root,
  logFile: path.join(stateDir, "logs", `${name.toLowerCase()}.log`),
  endWith: "SIGTERM" as const,
  ipc: true,
});
