import { Fault } from "../contracts/faults.ts";
import { isObject, type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import type { HttpServer, McpChange, McpServerConfig, OperatorServers } from "../contracts/mcp.schema.ts";
import { rootOfKey } from "../contracts/ids.ts";
import { satisfies } from "../contracts/semver.ts";
import { nearest } from "../contracts/nearest.ts";
import type { Database } from "../prisma/client.ts";
import { hashOf } from "../prisma/hash.ts";
import { describeOffer, pinOf, pinOffer, type Offer, type OfferedTool, type Pin } from "../prisma/mcp.ts";
import { publishTools } from "../prisma/tools.ts";
import type { Egress } from "./egress.ts";
import { createGuardedFetch } from "./guarded-fetch.ts";
import { HeardOffers } from "./heard-offers.ts";
import type { IsolatedSchemas } from "./isolated-schema.ts";
import { patiently } from "./patience.ts";
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
  readonly #offers = new HeardOffers();

  constructor(deps: McpDeps) {
    this.#deps = deps;
  }

  /**
   * A tool on an open connection, which whoever asked closes (`Tool.close`). Faults: `tool_input` (no such server or tool), `policy` (not
   * as approved), `tool`, `timeout`, `limit`.
   */
  async find(wanted: WantedTool, context: WorkContext): Promise<Tool> {
    const opened = await this.#open(wanted.server, context);
    try {
      return this.#toolOf(context.tenant, taken(wanted, opened), opened);
    } catch (error) {
      await opened.session.close();
      throw error;
    }
  }

  /** What any of a server's tools says of itself: the server is asked once for all of them. Faults as `find`. */
  async describe(server: string, context: WorkContext): Promise<(wanted: WantedTool) => Described> {
    const opened = await this.#open(server, context);
    await opened.session.close();
    return (wanted) => describedOf(taken(wanted, opened), opened);
  }

  async #open(server: string, context: WorkContext): Promise<Opened> {
    const { tenant } = context;
    const config = await this.#configOf(tenant, server, Date.now() + context.timeoutMs);
    const session = await McpSession.open(server, this.#placeOf(config, { server, context }), context);
    try {
      return { server, config, session, ...(await this.#offerOf(session, { server, config, context })) };
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** A server is asked for its tools once for all calls of a run; what was heard then still has to be what is approved now. */
  async #offerOf(session: McpSession, { server, config, context }: Asked): Promise<Pick<Opened, "offer" | "pin">> {
    const { database } = this.#deps;
    const { tenant, idempotencyKey } = context;
    const key = hashOf([tenant, server, rootOfKey(idempotencyKey), config as unknown as Json]);
    const heard = this.#offers.get(key);
    const approved = heard && (await pinOf(database, { tenant, server }, heard));
    if (heard && approved) return { offer: heard, pin: approved };
    const offer = await session.offer(context);
    const { isNew, ...pin } = await pinOffer(database, { tenant, server }, offer);
    if (isNew) await publishTools(database, tenant, describeOffer(server, offer, config.tools));
    this.#offers.set(key, offer);
    return { offer, pin };
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

  #toolOf(tenant: string, offered: OfferedTool, opened: Opened): Tool {
    const { session } = opened;
    const description = describedOf(offered, opened);
    const { schemas } = this.#deps;
    return {
      ...description,
      parse: async (args) => {
        const given = isObject(args) ? args : {};
        const problems = await schemas.check({ tenant }, offered.input, given);
        if (problems.length > 0) throw inputFault(description.name, problems);
        return given;
      },
      run: async (args, context) => {
        // `parse` gives an object.
        const result = await session.call(offered.name, args as JsonObject, context);
        if (offered.output && !result.isError)
          await this.#checkResult(tenant, offered.output, { structured: result.structured, name: description.name });
        return { ...result, text: textOf(result.content) };
      },
      complaintIn: (result) => (isObject(result) && result["isError"] === true ? (result["text"] as string) : undefined),
      close: () => session.close(),
    };
  }

  async #checkResult(tenant: string, schema: JsonSchema, { structured, name }: { structured: Json; name: string }): Promise<void> {
    const [first] = await this.#deps.schemas.check({ tenant, hasHappened: true }, schema, structured);
    if (!first) return;
    const detail = `${name} gave a result that does not fit its own output schema: ${first.pointer || "/"} ${first.message}`;
    throw new Fault("tool", detail, { extra: { retryable: false, hasHappened: true } });
  }
}

interface Asked {
  server: string;
  config: McpServerConfig;
  context: WorkContext;
}

interface Opened {
  server: string;
  config: McpServerConfig;
  session: McpSession;
  offer: Offer;
  pin: Pin;
}

type Described = ReturnType<typeof describeOffer>[number];

const describedOf = (offered: OfferedTool, { server, offer: { version }, config }: Opened): Described =>
  describeOffer(server, { version, tools: [offered] }, config.tools)[0]!;

/** A tool of an offer, in the wanted version and as it was approved. */
function taken({ tool, version }: WantedTool, { server, offer, pin: { tools, approvedAt, changes } }: Opened): OfferedTool {
  if (version !== undefined && !satisfies(offer.version, version))
    throw new Fault("tool", `MCP server ${server} has version ${offer.version}, not ${version}.`, { extra: { retryable: false } });
  const change = changes.find((each) => each.tool === tool);
  if (change && (change.change !== "removed" || tools[tool] === undefined))
    throw new Fault("policy", refusal(server, change, approvedAt), { extra: { server, change: { ...change } } });
  return offer.tools.find(({ name }) => name === tool) ?? unknownTool(server, tool, offer);
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

const textOf = (content: Json[]): string =>
  content
    .flatMap((block) => (isObject(block) && block["type"] === "text" && typeof block["text"] === "string" ? [block["text"]] : []))
    .join("\n");
