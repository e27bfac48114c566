import type { Readable } from "node:stream";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport, StreamableHTTPError } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { jsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/types.js";
import { CallToolResultSchema, ErrorCode, McpError } from "@modelcontextprotocol/sdk/types.js";
import { Fault, messageOf } from "../contracts/faults.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { isVersion } from "../contracts/semver.ts";
import type { Offer, OfferedTool } from "../prisma/mcp.ts";
import type { GuardedFetch } from "./guarded-fetch.ts";
import { LastWords } from "./last-words.ts";
import { withDeadline, type WorkContext } from "./work.ts";

/** How a server is reached: a process of ours, or over HTTP through the egress guard. */
export type McpPlace =
  | { command: string; args: string[]; cwd?: string | undefined; env: Record<string, string> }
  | { url: string; headers: Record<string, string>; fetch: GuardedFetch };

export interface McpResult {
  content: Json[];
  structured: Json;
  isError: boolean;
}

/** A connection for one call: opened, asked for its tools, used, closed. */
export class McpSession {
  readonly #name: string;
  readonly #client: Client;
  /** To connect and to list its tools, page by page. */
  readonly #begunBy: number;
  /** Of a process. */
  readonly #lastWords: LastWords | undefined;
  /** Why the connection was given up: whoever waits on it is only told that it is closed. */
  #broken: Fault | undefined;

  private constructor(name: string, { client, transport, begunBy }: { client: Client; transport: Transport; begunBy: number }) {
    this.#name = name;
    this.#client = client;
    this.#begunBy = begunBy;
    const stderr = transport instanceof StdioClientTransport ? transport.stderr : null;
    // A pipe was asked for, so that it is one to read from.
    this.#lastWords = stderr ? new LastWords(stderr as Readable) : undefined;
    client.onerror = (error) => {
      this.#broken ??= faultInside(error) ?? (isTooLong(error) ? tooLong(name) : undefined);
      if (this.#broken) void this.close();
    };
  }

  /** Faults: `tool` (it is not there, or does not speak MCP), `policy` (it may not be called), `timeout`. */
  static async open(name: string, place: McpPlace, context: WorkContext): Promise<McpSession> {
    const client = new Client({ name: "tenuto", version: "1.0.0" }, { jsonSchemaValidator: unchecked });
    const transport = transportTo(place);
    const session = new McpSession(name, { client, transport, begunBy: Date.now() + Math.min(limits.mcpBeginMs, context.timeoutMs) });
    try {
      await session.#soon(context, (options) => client.connect(transport, options));
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** All tools there are. Fault `limit` for more than anybody can have looked at, and for a list without an end. */
  async offer(context: WorkContext): Promise<Offer> {
    const tools: OfferedTool[] = [];
    const cursors = new Set<string>();
    for (let cursor: string | undefined; ;) {
      const asked = cursor === undefined ? {} : { cursor };
      const page = await this.#soon(context, (options) => this.#client.listTools(asked, options));
      tools.push(...page.tools.map(offeredOf));
      if (tools.length > limits.mcpToolsMax || Buffer.byteLength(JSON.stringify(tools)) > limits.mcpOfferBytesMax)
        throw new Fault(
          "limit",
          `MCP server ${this.#name} offers more than ${limits.mcpToolsMax} tools or ${limits.mcpOfferBytesMax} bytes.`,
        );
      cursor = page.nextCursor;
      if (cursor === undefined) break;
      if (cursors.has(cursor) || cursors.size + 1 >= limits.mcpPagesMax)
        throw new Fault("limit", `MCP server ${this.#name} lists its tools without an end, or on more than ${limits.mcpPagesMax} pages.`);
      cursors.add(cursor);
    }
    const version = this.#client.getServerVersion()?.version ?? "";
    return { version: isVersion(version) ? version : "0.0.0", tools };
  }

  /** Give up waiting ends the session too: what comes later is nobody's. */
  async call(tool: string, args: JsonObject, context: WorkContext): Promise<McpResult> {
    try {
      const params = { name: tool, arguments: args, _meta: { "tenuto/idempotencyKey": context.idempotencyKey } };
      const options = { signal: context.signal, timeout: context.timeoutMs, maxTotalTimeout: context.timeoutMs };
      // Not `callTool`, which refuses some answers with the error of a server that has refused the call: what was answered has happened.
      const result = await this.#client.request({ method: "tools/call", params }, CallToolResultSchema, options);
      return {
        content: result.content as Json[],
        structured: (result.structuredContent ?? null) as Json,
        isError: result.isError === true,
      };
    } catch (error) {
      if (context.signal.aborted) throw context.signal.reason;
      throw await this.#faultOf(error, { isCalled: true });
    }
  }

  async close(): Promise<void> {
    await this.#client.close().catch(() => undefined);
  }

  async #soon<Result>(context: WorkContext, ask: (options: { signal: AbortSignal; timeout: number }) => Promise<Result>): Promise<Result> {
    const timeout = Math.max(1, this.#begunBy - Date.now());
    try {
      return await withDeadline(context, timeout, (signal) => ask({ signal, timeout }));
    } catch (error) {
      if (context.signal.aborted) throw error;
      throw await this.#faultOf(error, { isCalled: false });
    }
  }

  async #faultOf(error: unknown, { isCalled }: { isCalled: boolean }): Promise<unknown> {
    const fault = error instanceof Fault ? error : (this.#broken ?? faultOf(this.#name, error, { isCalled }));
    return this.#lastWords ? this.#lastWords.addTo(fault) : fault;
  }
}

// What the schemas of strangers cost, they cost in a thread of their own: isolated-schema.ts.
const unchecked: jsonSchemaValidator = {
  getValidator: () => (input) => ({ valid: true, data: input as never, errorMessage: undefined }),
};

function transportTo(place: McpPlace): Transport {
  const transport =
    "command" in place
      ? new StdioClientTransport({
          command: place.command,
          args: place.args,
          env: place.env,
          stderr: "pipe",
          maxBufferSize: limits.mcpAnswerBytesMax,
          ...(place.cwd === undefined ? {} : { cwd: place.cwd }),
        })
      : new StreamableHTTPClientTransport(new URL(place.url), {
          fetch: place.fetch,
          requestInit: { headers: place.headers },
          reconnectionOptions: {
            maxRetries: 0,
            initialReconnectionDelay: 1_000,
            maxReconnectionDelay: 1_000,
            reconnectionDelayGrowFactor: 1,
          },
        });
  // Their `sessionId?` is declared without `undefined`, which exactOptionalPropertyTypes holds apart.
  return transport as Transport;
}

interface ToolOfServer {
  name: string;
  description?: string | undefined;
  inputSchema: object;
  outputSchema?: object | undefined;
  annotations?: object | undefined;
}

const offeredOf = ({ name, description = "", inputSchema, outputSchema, annotations = {} }: ToolOfServer): OfferedTool => ({
  name,
  description,
  input: undated(inputSchema),
  ...(outputSchema === undefined ? {} : { output: undated(outputSchema) }),
  annotations: annotations as JsonObject,
});

/** Many servers name draft 7 and write what means the same in 2020-12, which is all that we read. */
function undated(schema: object): JsonSchema {
  const { $schema: _, ...rest } = schema as JsonSchema;
  return rest;
}

/** Trouble with a server. What came after a call was sent says nothing about whether it was done. */
function faultOf(server: string, error: unknown, { isCalled }: { isCalled: boolean }): Fault {
  const inner = faultInside(error);
  if (inner) return inner;
  const said = `MCP server ${server}: ${messageOf(error).slice(0, 500)}`;
  if (error instanceof McpError && !cutOff.has(error.code))
    return new Fault(error.code === Number(ErrorCode.InvalidParams) ? "tool_input" : "tool", said, {
      cause: error,
      extra: { retryable: false },
    });
  const status = error instanceof StreamableHTTPError ? (error.code ?? 0) : 0;
  const isFinal = status >= 300 && status < 500 && status !== 408 && status !== 429;
  return new Fault("tool", said, {
    cause: error,
    extra: { retryable: !isFinal, ...(isCalled && !isFinal ? { mayHaveHappened: true } : {}) },
  });
}

// The SDK's only word for a message above `maxBufferSize`.
const isTooLong = ({ message }: Error): boolean => message.includes("exceeded maximum size");

const tooLong = (name: string): Fault =>
  new Fault("limit", `MCP server ${name} sent a message of more than ${limits.mcpAnswerBytesMax} bytes.`, { extra: { hasHappened: true } });

const cutOff: ReadonlySet<number> = new Set([ErrorCode.ConnectionClosed, ErrorCode.RequestTimeout]);

/** A refusal of the egress guard comes wrapped by fetch and by the SDK. */
function faultInside(error: unknown): Fault | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) if (at instanceof Fault) return at;
  return undefined;
}
