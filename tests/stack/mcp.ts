import { expect } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, facts, host, uniqueName, type Client, type RunBody } from "./client.ts";

export const once = { retry: { maxAttempts: 1 } };

interface ServerBody {
  state: string;
  ownedBy: string;
  transport: string;
  url: string | null;
  headers: string[];
  approvedTools: string[];
  approvedBy: string | null;
  pendingHash: string | null;
  changes: { tool: string; change: string; fields: string[] }[];
}

/** A server of one test's own. */
export class Mcp {
  readonly name = uniqueName("mcp");
  readonly client: Client;

  constructor(client: Client = admin) {
    this.client = client;
  }

  get path(): string {
    return `/${this.name}`;
  }

  static async at(more: JsonObject = {}, client: Client = admin): Promise<Mcp> {
    const server = new Mcp(client);
    const answer = await server.put({ url: `${facts.mcpUrl}${server.path}`, ...more });
    expect(answer).toMatchObject({ status: 200, body: { state: "unseen", ownedBy: "tenant" } });
    return server;
  }

  put = (body: JsonObject) => this.client.request<ServerBody>("PUT", `/api/v2/mcp-servers/${this.name}`, { body });
  read = async (): Promise<ServerBody> => (await this.client.get<ServerBody>(`/api/v2/mcp-servers/${this.name}`)).body;
  approve = (pendingHash: string | null) => this.client.post(`/api/v2/mcp-servers/${this.name}/approve`, { pendingHash });
  calls = () => host.mcpCalls(this.path);
  step = (tool: string, args: JsonObject = {}, more: object = {}) => ({
    id: "m",
    type: "tool",
    server: this.name,
    tool,
    arguments: args,
    ...more,
  });
  run = (tool: string, args: JsonObject = {}, more: object = {}, envelope: object = {}): Promise<RunBody> =>
    this.client.finish({ steps: [this.step(tool, args, { ...once, ...more })], ...envelope });
}
