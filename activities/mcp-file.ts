import { readFile } from "node:fs/promises";
import { operatorServersSchema, type OperatorServers } from "../contracts/mcp.schema.ts";
import { messageOf } from "../contracts/faults.ts";
import { isSpan } from "../language/duration.ts";

/** The operator's MCP servers. A file that cannot be read ends the worker with its name and what is wrong. */
export async function readOperatorServers(file: string): Promise<OperatorServers> {
  const parsed = operatorServersSchema.safeParse(jsonOf(await readFile(file, "utf8"), file));
  const lines = parsed.success ? timesOf(parsed.data) : parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  if (parsed.success && lines.length === 0) return parsed.data;
  throw new Error(`TENUTO_MCP_SERVERS=${file} cannot be used:\n  ${lines.join("\n  ")}`);
}

/** What the schema cannot say of them. */
const timesOf = (servers: OperatorServers): string[] =>
  Object.entries(servers).flatMap(([server, { tools }]) =>
    Object.entries(tools).flatMap(([tool, { timeout }]) =>
      timeout === undefined || isSpan(timeout)
        ? []
        : [`${server}.tools.${tool}.timeout: a duration above 0, such as \`5m\`, or a number of milliseconds`],
    ),
  );

function jsonOf(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`TENUTO_MCP_SERVERS=${file} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
