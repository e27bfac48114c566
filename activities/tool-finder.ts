import type { ToolFields } from "../contracts/activities.ts";
import type { Database } from "../prisma/client.ts";
import { settleVersion } from "../prisma/tools.ts";
import { patiently } from "./patience.ts";
import type { McpServers } from "./mcp-servers.ts";
import type { Tool, ToolRegistry } from "./tool-registry.ts";
import type { WorkContext } from "./work.ts";
import { rootOfKey } from "../contracts/ids.ts";

type Wanted = Pick<ToolFields, "tool" | "version" | "server">;

export type FindTool = (wanted: Wanted, context: WorkContext) => Promise<Tool>;

/** What it says of itself. */
export type DescribeTool = (
  wanted: Wanted,
  context: WorkContext,
) => Promise<Pick<Tool, "description" | "input" | "effect" | "version" | "short">>;

/** The tool that a call means. A range of versions is settled once for a run, whatever workers learn meanwhile. */
export function createFindTool({ tools, database, mcp }: { tools: ToolRegistry; database: Database; mcp: McpServers }): FindTool {
  return async ({ tool, version: range, server }, context) => {
    if (server !== undefined) return mcp.find({ server, tool, version: range }, context);
    const { tenant, idempotencyKey, timeoutMs } = context;
    const offered = tools.get(tool, range);
    if (range === undefined || range === offered.version) return offered;
    const root = rootOfKey(idempotencyKey);
    const settled = (): Promise<string> => settleVersion(database, { tenant, root, tool, range }, offered.version);
    return tools.get(tool, await patiently(Date.now() + timeoutMs, settled));
  };
}

/** For the length of a task: a server is asked once, however many of its tools are wanted. */
export const createDescribeTools =
  ({ find, mcp }: { find: FindTool; mcp: McpServers }): (() => DescribeTool) =>
  () => {
    const servers = new Map<string, ReturnType<McpServers["describe"]>>();
    return async ({ server, ...wanted }, context) => {
      if (server === undefined) return find(wanted, context);
      const described = servers.get(server) ?? mcp.describe(server, context);
      servers.set(server, described);
      return (await described)({ ...wanted, server });
    };
  };
