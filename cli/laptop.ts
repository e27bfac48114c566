import os from "node:os";
import path from "node:path";
import { z } from "zod";
import type { StackPorts } from "./ports.ts";

const port = (standard: number) => z.coerce.number().int().min(1).max(65_535).default(standard);

/** What only the laptop stack and the command line read; API and worker know none of it. `.env.example` lists these too. */
const variables = z.object({
  PORT: port(3_000),
  TENUTO_TEMPORAL_PORT: port(7_233),
  TENUTO_TEMPORAL_UI_PORT: port(8_233),
  TENUTO_POSTGRES_PORT: port(54_329),
  TENUTO_REDIS_PORT: port(63_790),
  TENUTO_CACHE_DIR: z.string().optional(),
  XDG_CACHE_HOME: z.string().optional(),
  TENUTO_URL: z.url().optional(),
  PATH: z.string().default(""),
});

export interface Laptop {
  ports: StackPorts;
  /** Downloads that outlive a clone. */
  cacheDir: string;
  /** Server that the `tenuto` command talks to. */
  url: string;
  /** Folders that programs are looked for in. */
  searchPath: string[];
}

/** Beside settings.ts the only reader of the environment: API and worker must not depend on what is set for a laptop. */
export function readLaptop(env: NodeJS.ProcessEnv = inheritedEnv()): Laptop {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = variables.safeParse(present);
  if (!parsed.success) throw new Error(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("\n"));
  const values = parsed.data;
  const ports: StackPorts = {
    api: values.PORT,
    temporal: values.TENUTO_TEMPORAL_PORT,
    temporalUi: values.TENUTO_TEMPORAL_UI_PORT,
    postgres: values.TENUTO_POSTGRES_PORT,
    redis: values.TENUTO_REDIS_PORT,
  };
  const caches = values.XDG_CACHE_HOME ?? path.join(os.homedir(), ".cache");
  return {
    ports,
    cacheDir: path.resolve(values.TENUTO_CACHE_DIR ?? path.join(caches, "tenuto")),
    url: values.TENUTO_URL ?? `http://127.0.0.1:${ports.api}`,
    searchPath: values.PATH.split(path.delimiter).filter((folder) => folder !== ""),
  };
}

/** What every child process gets beside what we set for it: provider keys, PATH, HOME. */
// oxlint-disable-next-line no-restricted-properties -- passed on whole, not read
export const inheritedEnv = (): NodeJS.ProcessEnv => ({ ...process.env });
