import { readFile } from "node:fs/promises";
import { operatorServersSchema, type OperatorServers } from "../contracts/mcp.schema.ts";
import { messageOf } from "../contracts/faults.ts";

/** The operator's MCP servers. A file that cannot be read ends the worker with its name and what is wrong. */
export async function readOperatorServers(file: string): Promise<OperatorServers> {
  const parsed = operatorServersSchema.safeParse(jsonOf(await readFile(file, "utf8"), file));
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`TENUTO_MCP_SERVERS=${file} cannot be used:\n  ${lines.join("\n  ")}`);
}

function jsonOf(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`TENUTO_MCP_SERVERS=${file} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
