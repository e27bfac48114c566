import path from "node:path";
import { z } from "zod";
import { isSecretName, secretsOfUrl } from "./contracts/secrets.ts";

const list = z
  .string()
  .default("")
  .transform((text) =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  );

const flag = z
  .enum(["true", "false"])
  .default("false")
  .transform((text) => text === "true");

// Temporal writes the two with a dot between them.
const versionName = z
  .string()
  .regex(/^[\w-]{1,100}$/, "must be 1 to 100 letters, digits, _ or -")
  .optional();

/** Every variable we read, once. `.env.example` shows the same list. */
const variables = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(3_000),
  HOST: z.string().default("127.0.0.1"),
  TENUTO_STATE_DIR: z.string().default(".tenuto"),
  TENUTO_API_KEY: z.string().min(16, "must have at least 16 characters").optional(),
  TENUTO_TENANT: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/)
    .default("default"),
  TENUTO_LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  TENUTO_HTTP_ALLOW: list,
  TENUTO_TOOLS: list,
  TENUTO_SQL: list,
  TENUTO_MCP_SERVERS: z.string().optional(),
  TENUTO_MCP_ENV: list,
  TENUTO_MCP_SECRETS: list,
  TENUTO_FILES_ROOT: z.string().default("."),
  TENUTO_EXPRESSION_ENV: list,
  TENUTO_MODELS: list,
  TENUTO_MODEL_PRICES: list,
  TENUTO_MODEL_QUOTAS: list,
  TENUTO_WEBHOOK_SECRETS: list,
  TENUTO_NOTICE_URL: z.url({ protocol: /^https?$/ }).optional(),
  TENUTO_NOTICE_SECRET: z.string().min(16, "must have at least 16 characters").optional(),
  TENUTO_WORKFLOW_BUNDLE: z.string().optional(),
  TENUTO_WORKER_DEPLOYMENT: versionName,
  TENUTO_WORKER_BUILD: versionName,
  TEMPORAL_ADDRESS: z.string().optional(),
  TEMPORAL_NAMESPACE: z.string().default("default"),
  TEMPORAL_API_KEY: z.string().optional(),
  TEMPORAL_TLS: flag,
  TEMPORAL_UI_URL: z.url().optional(),
  DATABASE_URL: z.string().optional(),
  REDIS_URL: z.string().optional(),
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_BASE_URL: z.url().optional(),
  ANTHROPIC_API_KEY: z.string().optional(),
  ANTHROPIC_BASE_URL: z.url().optional(),
});

export type Settings = Readonly<z.infer<typeof variables>> & {
  stateDir: string;
  expressionEnv: Record<string, string>;
  /** By `tenant/name`. */
  webhookSecrets: Record<string, string>;
  /** What header values of MCP servers name; by `tenant/name`. */
  mcpSecrets: Record<string, string>;
  /** Databases that tools may read; by `tenant/name`. */
  sql: Record<string, string>;
  /** Everything of them that nobody outside may see, found by its name or its place in a URL. */
  secrets: string[];
  /** What processes of MCP servers may get. */
  mcpEnv: Record<string, string>;
  /** Which build a worker is, where Temporal is to tell builds apart. */
  workerVersion: { deploymentName: string; buildId: string } | undefined;
};

/**
 * The process's settings. The only reader of `process.env`: everything below gets what it needs passed in.
 * An empty variable counts as absent. A bad one ends the process with the variable's name and what it should be.
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = variables.safeParse(present);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw new Error(`Settings cannot be read:\n  ${lines.join("\n  ")}`);
  }
  const values = parsed.data;
  const expressionEnv = Object.fromEntries(values.TENUTO_EXPRESSION_ENV.map((name) => [name, env[name] ?? ""]));
  const webhookSecrets = Object.fromEntries(values.TENUTO_WEBHOOK_SECRETS.map(pairOf));
  const mcpSecrets = Object.fromEntries(values.TENUTO_MCP_SECRETS.map(pairOf));
  const sql = Object.fromEntries(values.TENUTO_SQL.map(pairOf));
  const mcpEnv = Object.fromEntries(values.TENUTO_MCP_ENV.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  const workerVersion = workerVersionOf(values);
  return {
    ...values,
    stateDir: path.resolve(values.TENUTO_STATE_DIR),
    expressionEnv,
    webhookSecrets,
    mcpSecrets,
    sql,
    mcpEnv,
    workerVersion,
    secrets: secretsOf(present as Record<string, string>),
  };
}

/** Also of variables that only tools read. */
function secretsOf(env: Record<string, string>): string[] {
  const values = Object.entries(env).flatMap(([name, value]): string[] => {
    const listed = /^TENUTO_(MCP|WEBHOOK)_SECRETS$/.test(name) || name === "TENUTO_SQL";
    const parts = listed ? value.split(",").map((part) => pairOf(part.trim())[1]) : [value];
    return parts.flatMap((part) => [...(name !== "TENUTO_SQL" && isSecretName(name) ? [part] : []), ...secretsOfUrl(part)]);
  });
  return [...new Set(values)].filter((value) => value !== "");
}

function workerVersionOf(values: z.infer<typeof variables>): Settings["workerVersion"] {
  const { TENUTO_WORKER_DEPLOYMENT: deploymentName, TENUTO_WORKER_BUILD: buildId } = values;
  if (deploymentName !== undefined && buildId !== undefined) return { deploymentName, buildId };
  if (deploymentName === undefined && buildId === undefined) return undefined;
  throw new Error("Settings cannot be read:\n  TENUTO_WORKER_DEPLOYMENT and TENUTO_WORKER_BUILD: set both or neither");
}

// A secret may hold "=": only the first ends the name.
const pairOf = (text: string): [string, string] => {
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
};
