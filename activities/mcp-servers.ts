import { Fault } from "../contracts/faults.ts";
import { isObject, type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import type { HttpServer, McpChange, McpServerConfig, OperatorServers } from "../contracts/mcp.schema.ts";
import { satisfies } from "../contracts/semver.ts";
import { nearest } from "../contracts/nearest.ts";
import type { Database } from "../prisma/client.ts";
import { describeOffer, pinOffer, type Offer, type OfferedTool } from "../prisma/mcp.ts";
import { publishTools } from "../prisma/tools.ts";
import type { Egress } from "./egress.ts";
import { createGuardedFetch } from "./guarded-fetch.ts";
import type { IsolatedSchemas } from "./isolated-schema.ts";
import { patiently } from "./patience.ts";
import { textOf, type McpResult } from "./mcp-result.ts";
import { McpSession, type McpPlace } from "./mcp-session.ts";
import { inputFault, type Tool } from "./tool-registry.ts";
import type { WorkContext } from "./work.ts";

export interface McpDeps {
  database: Database;
  egress: Egress;
  schemas: IsolatedSchemas;
  /** Servers that the operator runs or knows; only they may be processes. */
  operator: OperatorServers;
  /** By `tenant/name`. */
  secrets: Record<string, string>;
  /** Variables that processes may get. */
  env: Record<string, string>;
}

export interface WantedTool {
  server: string;
  tool: string;
  version?: string | undefined;
}

/** Tools of MCP servers, as approved by the tenant: what differs is refused until a person has looked at it. */
export class McpServers {
  readonly #deps: McpDeps;

  constructor(deps: McpDeps) {
    this.#deps = deps;
  }

  /**
   * A tool on an open connection, which whoever asked closes (`Tool.close`). Faults: `tool_input` (no such server or tool), `policy` (not
   * as approved), `tool`, `timeout`, `limit`.
   */
  async find({ server, tool, version }: WantedTool, context: WorkContext): Promise<Tool> {
    const { tenant } = context;
    const config = await this.#configOf(tenant, server, Date.now() + context.timeoutMs);
    const session = await McpSession.open(server, this.#placeOf(config, { server, context }), context);
    try {
      const offer = await session.offer(context);
      if (version !== undefined && !satisfies(offer.version, version))
        throw new Fault("tool", `MCP server ${server} has version ${offer.version}, not ${version}.`, { extra: { retryable: false } });
      await this.#refuseUnapproved(tenant, { server, tool, offer, config });
      const offered = offer.tools.find(({ name }) => name === tool) ?? unknownTool(server, tool, offer);
      return this.#toolOf(offered, { server, version: offer.version, config, session });
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  async #configOf(tenant: string, server: string, endsAt: number): Promise<McpServerConfig> {
    const own = this.#deps.operator[server];
    if (own && (own.tenants?.includes(tenant) ?? true)) return own;
    const where = { tenant_name: { tenant, name: server } };
    const row = await patiently(endsAt, () => this.#deps.database.mcpServer.findUnique({ where }));
    // Written by the API after it was checked.
    if (row) return row.config as unknown as HttpServer;
    throw new Fault("tool_input", `No MCP server "${server.slice(0, 80)}". \`GET /api/v2/mcp-servers\` lists those there are.`);
  }

  #placeOf(config: McpServerConfig, { server, context }: { server: string; context: WorkContext }): McpPlace {
    if ("command" in config) {
      const { command, args, cwd, env } = config;
      return { command, args, cwd, env: Object.fromEntries(env.flatMap((name) => this.#variable(name))) };
    }
    const headers = Object.entries(config.headers).map(([name, value]) => [name, this.#header(value, { server, tenant: context.tenant })]);
    return { url: config.url, headers: Object.fromEntries(headers), fetch: createGuardedFetch(this.#deps.egress, context.hosts) };
  }

  #variable(name: string): [string, string][] {
    const value = this.#deps.env[name];
    return value === undefined ? [] : [[name, value]];
  }

  #header(value: HttpServer["headers"][string], { server, tenant }: { server: string; tenant: string }): string {
    if (typeof value === "string") return value;
    const secret = this.#deps.secrets[`${tenant}/${value.secret}`];
    if (secret === undefined)
      throw new Fault(
        "policy",
        `MCP server ${server} needs the secret ${value.secret}; an operator sets it: TENUTO_MCP_SECRETS=${tenant}/${value.secret}=….`,
      );
    return `${value.prefix ?? ""}${secret}`;
  }

  async #refuseUnapproved(tenant: string, { server, tool, offer, config }: Offered): Promise<void> {
    const { tools, approvedAt, changes, isNew } = await pinOffer(this.#deps.database, { tenant, server }, offer);
    if (isNew) await publishTools(this.#deps.database, tenant, describeOffer(server, offer, config.tools));
    const change = changes.find((each) => each.tool === tool);
    if (change && (change.change !== "removed" || tools[tool] === undefined))
      throw new Fault("policy", refusal(server, change, approvedAt), { extra: { server, change: { ...change } } });
  }

  #toolOf(offered: OfferedTool, { server, version, config, session }: Found): Tool {
    const [description] = describeOffer(server, { version, tools: [offered] }, config.tools);
    const { schemas } = this.#deps;
    return {
      ...description!,
      parse: async (args) => {
        const given = isObject(args) ? args : {};
        const problems = await schemas.check(offered.input, given);
        if (problems.length > 0) throw inputFault(description!.name, problems);
        return given;
      },
      run: async (args, context) => {
        // `parse` gives an object.
        const result = await session.call(offered.name, args as JsonObject, context);
        if (offered.output && !result.isError) await this.#checkResult(offered.output, result.structured, description!.name);
        return { ...result, text: textOf(result.content) } satisfies McpResult;
      },
      close: () => session.close(),
    };
  }

  async #checkResult(schema: JsonSchema, structured: Json, name: string): Promise<void> {
    const [first] = await this.#deps.schemas.check(schema, structured);
    if (!first) return;
    const detail = `${name} gave a result that does not fit its own output schema: ${first.pointer || "/"} ${first.message}`;
    throw new Fault("tool", detail, { extra: { retryable: false, hasHappened: true } });
  }
}

interface Offered {
  server: string;
  tool: string;
  offer: Offer;
  config: McpServerConfig;
}

interface Found {
  server: string;
  version: string;
  config: McpServerConfig;
  session: McpSession;
}

function refusal(server: string, { tool, change, fields }: McpChange, approvedAt: Date): string {
  const what = change === "added" ? "is new" : `has another ${fields.join(", ")}`;
  const since = `since ${server} was approved (${approvedAt.toISOString()})`;
  return `${server}/${tool} ${what} ${since}; look at it: GET /api/v2/mcp-servers/${server}, then POST /api/v2/mcp-servers/${server}/approve.`;
}

function unknownTool(server: string, tool: string, { tools }: Offer): never {
  const names = tools.map(({ name }) => name);
  const near = nearest(tool, names);
  const hint = near === undefined ? `There is: ${names.slice(0, 20).join(", ") || "none"}.` : `Did you mean ${near}?`;
  throw new Fault("tool_input", `MCP server ${server} has no tool "${tool.slice(0, 80)}". ${hint}`);
}
