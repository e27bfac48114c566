import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@temporalio/worker";
import { createBuiltinTools } from "../activities/builtin-tools.ts";
import { createEgress } from "../activities/egress.ts";
import type { Embeddings } from "../activities/embeddings.ts";
import { IsolatedSchemas } from "../activities/isolated-schema.ts";
import { McpServers } from "../activities/mcp-servers.ts";
import { createMemoryTools } from "../activities/memory-tools.ts";
import { ToolCalls } from "../activities/tool-calls.ts";
import { createToolRegistry, loadTools, type ToolRegistry } from "../activities/tool-registry.ts";
import { limits } from "../contracts/limits.ts";
import type { OperatorServers } from "../contracts/mcp.schema.ts";
import { secretsOfUrl } from "../contracts/secrets.ts";
import type { Database } from "../prisma/client.ts";
import { publishServers } from "../prisma/mcp.ts";
import { everyTenant, publishTools, touchTools } from "../prisma/tools.ts";
import type { Settings } from "../settings.ts";

export interface Toolbox {
  tools: ToolRegistry;
  mcp: McpServers;
  schemas: IsolatedSchemas;
  calls: ToolCalls;
  close(): Promise<void>;
}

/** The tools of this worker. The API knows of them from what is told here, now and again. */
export async function openToolbox(database: Database, settings: Settings, { logger, operator, embeddings }: Given): Promise<Toolbox> {
  const { TENUTO_FILES_ROOT: filesRoot, TENUTO_TENANT: mainTenant, TENUTO_HTTP_ALLOW: httpAllow, sql, mcpSecrets, mcpEnv } = settings;
  const own = await loadTools(settings.TENUTO_TOOLS);
  const tools = createToolRegistry([
    ...createBuiltinTools({ filesRoot, mainTenant, httpAllow, sql }),
    ...createMemoryTools({ database, embeddings }),
    ...own,
  ]);
  const schemas = new IsolatedSchemas();
  const mcp = new McpServers({ database, egress: createEgress({ allow: httpAllow }), schemas, operator, secrets: mcpSecrets, env: mcpEnv });
  const calls = new ToolCalls(database);
  const telling = await tellCatalogue({ database, logger, tools, operator });
  return {
    tools,
    mcp,
    schemas,
    calls,
    async close() {
      clearInterval(telling);
      await Promise.all([calls.flush().catch(() => undefined), schemas.close()]);
    },
  };
}

interface Given {
  logger: Logger;
  embeddings: Embeddings;
  operator: OperatorServers;
}

/** What the operator wrote beside the addresses of servers. */
export const secretsOfServers = (operator: OperatorServers): string[] =>
  Object.values(operator).flatMap((server) =>
    "command" in server ? [] : [...secretsOfUrl(server.url), ...Object.values(server.headers).filter((value) => typeof value === "string")],
  );

interface Told {
  database: Database;
  logger: Logger;
  tools: ToolRegistry;
  operator: OperatorServers;
}

/** A worker whose Postgres is away begins all the same, and tells it later. */
async function tellCatalogue({ database, logger, tools, operator }: Told): Promise<NodeJS.Timeout> {
  let isPublished = false;
  const tell = async (): Promise<void> => {
    if (isPublished) return touchTools(database, everyTenant, tools.list());
    const changed = await publishTools(database, everyTenant, tools.list());
    await publishServers(database, operator);
    isPublished = true;
    if (changed.length > 0)
      logger.warn(`Tools that are not what they were under the same version: ${changed.join(", ")}. Count their versions up.`);
  };
  const telling = setInterval(() => void tell().catch(() => undefined), limits.toolSeenEveryMs);
  await Promise.race([tell().catch(() => logger.warn("The catalogue of tools is told when Postgres answers.")), sleep(BEGIN_MS)]);
  return telling;
}

const BEGIN_MS = 2_000;
