/** What the steps of a definition may use. Absent: whatever there is; empty: nothing. */
export interface Policy {
  /** Names of tools; of an MCP server `server/tool`. A `*` at the end stands for the rest. */
  tools?: string[];
  /** Models as steps name them: `fast`, `openai/*`. */
  models?: string[];
  /** Hosts of outbound calls: `api.example.com`, `*.example.com`, `localhost:8080`. */
  hosts?: string[];
}

/** Whether a list lets a name pass. */
export const allows = (list: readonly string[] | undefined, name: string): boolean =>
  list === undefined || list.some((entry) => (entry.endsWith("*") ? name.startsWith(entry.slice(0, -1)) : entry === name));

/** Whether a list lets a server be called. Without a port an entry stands for all of them. */
export const allowsHost = (list: readonly string[] | undefined, { hostname, port, protocol }: Place): boolean =>
  list === undefined || list.some((entry) => fits(entry.toLowerCase(), hostname.toLowerCase().replace(/\.$/, ""), port || ports[protocol]));

interface Place {
  hostname: string;
  port: string;
  protocol: string;
}

const ports: Record<string, string> = { "http:": "80", "https:": "443" };

function fits(entry: string, hostname: string, port: string | undefined): boolean {
  const [, name, wanted] = /^(.*?)(?::(\d+))?$/.exec(entry)!;
  if (wanted !== undefined && wanted !== port) return false;
  return name!.startsWith("*.") ? hostname.endsWith(name!.slice(1)) : name === hostname;
}

/** What a policy knows a tool by. */
export const toolName = ({ tool, server }: { tool: string; server?: string | undefined }): string =>
  server === undefined ? tool : `${server}/${tool}`;
