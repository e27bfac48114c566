import type { ToolFields } from "../contracts/activities.ts";
import { rootOfKey } from "../contracts/ids.ts";
import { toolName } from "../contracts/policy.ts";
import type { Database } from "../prisma/client.ts";
import { settleVersion } from "../prisma/tools.ts";
import type { McpServers } from "./mcp-servers.ts";
import { patiently } from "./patience.ts";
import { noSecrets, type Redact } from "./redact.ts";
import type { ToolCalls } from "./tool-calls.ts";
import type { Tool, ToolRegistry } from "./tool-registry.ts";
import type { WorkContext } from "./work.ts";

type Wanted = Pick<ToolFields, "tool" | "version" | "server">;

export type FindTool = (wanted: Wanted, context: WorkContext) => Promise<Tool>;

/** What it says of itself. */
export type DescribeTool = (
  wanted: Wanted,
  context: WorkContext,
) => Promise<Pick<Tool, "description" | "input" | "effect" | "version" | "short" | "timeout">>;

/** The tool that a call means. A range of versions is settled once for a run, whatever workers learn meanwhile. */
export function createFindTool({ tools, database, ...asked }: Asked & { tools: ToolRegistry; database: Database }): FindTool {
  return async ({ tool, version: range, server }, context) => {
    if (server !== undefined) {
      const wanted = { server, tool, version: range };
      return askServer(asked, { wanted, context }, () => asked.mcp.find(wanted, context));
    }
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
  ({ find, ...asked }: Asked & { find: FindTool }): (() => DescribeTool) =>
  () => {
    const servers = new Map<string, ReturnType<McpServers["describe"]>>();
    return async ({ server, ...wanted }, context) => {
      if (server === undefined) return find(wanted, context);
      const described = servers.get(server) ?? asked.mcp.describe(server, context);
      servers.set(server, described);
      const ofServer = { ...wanted, server };
      return askServer(asked, { wanted: ofServer, context }, async () => (await described)(ofServer));
    };
  };

interface Asked {
  mcp: McpServers;
  calls: ToolCalls;
  redact?: Redact | undefined;
}

/** A server that is away, or that may not be used as it is, fails the calls that then are never made. */
async function askServer<Answer>(
  { calls, redact = noSecrets }: Asked,
  { wanted, context }: { wanted: Wanted; context: WorkContext },
  ask: () => Promise<Answer>,
): Promise<Answer> {
  return calls.before({ name: toolName(wanted), version: wanted.version ?? "" }, context, async () => {
    try {
      return await ask();
    } catch (error) {
      // Before anybody notes it.
      throw redact.error(error);
    }
  });
}
