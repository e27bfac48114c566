import { z } from "zod";
import { limits } from "./limits.ts";
import { json, paged, pageSchema, time } from "./api.schema.ts";

/** Answers of the HTTP API about tools. */

const healthSchema = z.enum(["ok", "degraded", "failing", "unused", "absent"]).meta({
  id: "ToolHealth",
  description:
    "Of the last day: at least 95 % of its calls went well, fewer did, fewer than half did, none were made; `absent`: no worker has it at the moment.",
});

const statisticsSchema = z
  .object({
    calls: z.int(),
    successRate: z.number().nullable(),
    p50Ms: z.number().nullable(),
    p95Ms: z.number().nullable(),
    lastError: z
      .object({ outcome: z.string(), detail: z.string().nullable(), startedAt: time, runId: z.string() })
      .nullable()
      .meta({ description: "Fault code and sentence." }),
  })
  .meta({ id: "ToolStatistics", description: "Calls by the tenant's runs in the last 24 hours; without refused arguments." });

const versionFields = {
  name: z.string(),
  version: z.string(),
  server: z.string().nullable().meta({ description: "The MCP server that has it." }),
  description: z.string(),
  effect: z.enum(["read", "write", "dangerous"]),
  idempotent: z.boolean(),
  hash: z.string().meta({ description: "SHA-256 of name, description, schemas and effect." }),
  publishedAt: time,
  seenAt: time.meta({ description: "When a worker last had it." }),
};

const schemas = { input: json.meta({ description: "JSON Schema." }), output: json.meta({ description: "JSON Schema, or null." }) };

export const toolPageSchema = paged(
  "ToolPage",
  z
    .object({ ...versionFields, health: healthSchema, statistics: statisticsSchema })
    .meta({ id: "ToolSummary", description: "The highest version of a tool, without its schemas." }),
);

export const toolSchema = z
  .object({ ...versionFields, ...schemas, health: healthSchema, statistics: statisticsSchema })
  .meta({ id: "Tool", description: "A version of a tool." });

export const toolVersionsSchema = z
  .object({
    name: z.string(),
    latest: z.string(),
    versions: z.array(z.object({ ...versionFields, ...schemas }).meta({ id: "ToolVersion" })),
    page: pageSchema,
  })
  .meta({
    id: "ToolVersions",
    description: `A page of the versions of a tool, highest first. One that was changed without counting it up is there once for each content, what was seen last first, up to ${limits.toolContentsMax}; \`publishedAt\` and \`seenAt\` say from when to when.`,
  });

export const toolExecutionPageSchema = paged(
  "ToolExecutionPage",
  z
    .object({
      id: z.string(),
      version: z.string().nullable().meta({ description: "null: its MCP server was away, or refused, before it could say." }),
      runId: z.string(),
      step: z.string().meta({ description: "Step path." }),
      startedAt: time,
      durationMs: z.int(),
      outcome: z.string().meta({ description: "`ok`, or the code of the fault; `tool` for a result that says `isError`." }),
      detail: z.string().nullable(),
    })
    .meta({ id: "ToolExecution", description: "One call of a tool. The last second before a worker's sudden end may be missing." }),
);
