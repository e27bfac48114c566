import { z } from "zod";
import { duration } from "./definition-fields.schema.ts";
import { limits } from "./limits.ts";
import { isSecretName } from "./secrets.ts";

/** MCP servers as operators (a file) and tenants (the HTTP API) tell of them. */

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "1 to 64 letters, digits, `.`, `_` and `-`; the first a letter or digit");

const toolSchema = z
  .strictObject({
    effect: z
      .enum(["read", "write", "dangerous"])
      .default("write")
      .meta({ description: "What a call changes outside; `write` without it." }),
    idempotent: z.boolean().default(false).meta({ description: "It recognises the key in `_meta` and does its work once." }),
    timeout: duration.optional().meta({ description: "Time for one call that an agent makes, such as `5m`; its `tools` may say another." }),
  })
  .meta({ id: "McpToolWord", description: "What is known of a tool beyond what its server says, whose word does not count." });

const headerSchema = z
  .union([z.string().max(2_000), z.strictObject({ secret: z.string().min(1).max(200), prefix: z.string().max(50).optional() })])
  .meta({ id: "McpHeader", description: "A value, or the name of a secret that workers know, with what stands before it (`Bearer `)." });

const words = {
  tools: z
    .record(z.string().min(1).max(256), toolSchema)
    .default({})
    .meta({ description: "By tool; `*` for all others. What is not said counts as `write`." }),
};

const httpFields = {
  url: z.url({ protocol: /^https?$/ }).meta({ description: "Where it speaks streamable HTTP." }),
  headers: z.record(z.string().regex(/^[A-Za-z0-9-]{1,100}$/), headerSchema).default({}),
  ...words,
};

const secretsNamed = ({ headers }: { headers: Record<string, unknown> }): boolean =>
  Object.entries(headers).every(([header, value]) => typeof value !== "string" || !isSecretName(header));

export const putMcpServerSchema = z
  .strictObject(httpFields)
  .refine(secretsNamed, {
    path: ["headers"],
    error: 'What is secret is named, not sent: `{"authorization": {"secret": "name", "prefix": "Bearer "}}`.',
  })
  .refine(({ url }) => !URL.canParse(url) || new URL(url).username + new URL(url).password === "", {
    path: ["url"],
    error: "A URL is shown to people: name a secret in `headers` instead of a user and password here.",
  })
  .meta({ id: "PutMcpServer", description: "An MCP server over HTTP." });

const forTenants = { tenants: z.array(z.string()).optional() };

/** The file that `TENUTO_MCP_SERVERS` names: servers by name. `env`: names of variables in `TENUTO_MCP_ENV` that the process gets. */
export const operatorServersSchema = z.record(
  name,
  z.union([
    z.strictObject({
      command: z.string().min(1),
      args: z.array(z.string()).default([]),
      cwd: z.string().optional(),
      env: z.array(z.string()).default([]),
      ...words,
      ...forTenants,
    }),
    z.strictObject({ ...httpFields, ...forTenants }),
  ]),
);

export const mcpServerName = name.meta({ description: "Name of the MCP server." });

const changeSchema = z
  .object({ tool: z.string(), change: z.enum(["added", "removed", "changed"]), fields: z.array(z.string()) })
  .meta({ id: "McpChange", description: "How a tool differs from what was approved." });

export const mcpServerSchema = z
  .object({
    name: z.string(),
    transport: z.enum(["http", "stdio"]),
    url: z.string().nullable(),
    headers: z.array(z.string()).meta({ description: "Names only." }),
    tools: z.record(z.string(), toolSchema),
    ownedBy: z.enum(["operator", "tenant"]),
    state: z.enum(["unseen", "approved", "changed"]).meta({
      description: "No run has asked it yet · its tools are as they were approved · some differ, and are refused until `approve`.",
    }),
    approvedTools: z.array(z.string()),
    approvedBy: z.string().nullable(),
    approvedAt: z.string().nullable(),
    pendingHash: z.string().nullable().meta({ description: "Of what the server offers now; approve it by this hash." }),
    changes: z.array(changeSchema),
    updatedAt: z.string(),
  })
  .meta({ id: "McpServer" });

export const mcpServerListSchema = z.object({ data: z.array(mcpServerSchema).max(limits.mcpServersMax) }).meta({ id: "McpServerList" });

export const approveMcpServerSchema = z
  .strictObject({ pendingHash: z.string().length(64).meta({ description: "As it was shown: what came after it is not approved." }) })
  .meta({ id: "ApproveMcpServer" });

export type OperatorServers = z.infer<typeof operatorServersSchema>;
export type HttpServer = z.infer<typeof putMcpServerSchema>;
export type StdioServer = Extract<OperatorServers[string], { command: string }>;
export type McpServerConfig = HttpServer | StdioServer;
export type PutMcpServer = z.infer<typeof putMcpServerSchema>;
export type ApproveMcpServer = z.infer<typeof approveMcpServerSchema>;
export type McpChange = z.infer<typeof changeSchema>;
