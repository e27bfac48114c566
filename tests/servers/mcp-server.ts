import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { CallToolRequestSchema, ListToolsRequestSchema, type CallToolResult, type Tool } from "@modelcontextprotocol/sdk/types.js";

/** What a place of the server has been asked to do. */
export interface McpCall {
  tool: string;
  arguments: Record<string, unknown>;
  key: unknown;
  authorization: string | undefined;
}

export interface McpTestServer {
  url: string;
  /** What was called at a path. */
  calls(path: string): McpCall[];
  /** What a path offers from now on, beside the usual tools; a tool of the same name takes the other's place. */
  offer(path: string, tools: Tool[]): void;
  /** What the tool `page` of a path says from now on. */
  write(path: string, page: string): void;
  /** How often a path was asked for its tools. */
  lists(path: string): number;
  close(): Promise<void>;
}

/**
 * An MCP server over streamable HTTP: every path is a server of its own, with the same few tools. `/endless` always has one page more,
 * `/tardy` too, after a while; `/circle` begins again.
 */
export async function startMcpServer(): Promise<McpTestServer> {
  const calls = new Map<string, McpCall[]>();
  const offers = new Map<string, Tool[]>();
  const lists = new Map<string, number>();
  const pages = new Map<string, string>();
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? "/";
    if (path.startsWith("/moved")) return void response.writeHead(307, { location: "http://127.0.0.1:1/" }).end();
    const own = offers.get(path) ?? [];
    const listed = [...usual.filter(({ name }) => !own.some((tool) => tool.name === name)), ...own];
    const note = (call: McpCall): void => void calls.set(path, [...(calls.get(path) ?? []), call]);
    const server = serverOf((call) => note({ ...call, authorization: request.headers.authorization }), pages.get(path));
    server.setRequestHandler(ListToolsRequestSchema, async ({ params }) => {
      lists.set(path, (lists.get(path) ?? 0) + 1);
      const next = nextPage(path, params?.cursor);
      if (next === undefined) return { tools: listed };
      if (path === "/tardy") await sleep(100);
      return { tools: [], nextCursor: next };
    });
    // Stateless: one server for each request.
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true } as object);
    response.once("close", () => void server.close());
    await server.connect(transport as Transport);
    await transport.handleRequest(request, response);
  };
  const http = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  http.keepAliveTimeout = 0;
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    calls: (path) => calls.get(path) ?? [],
    offer: (path, tools) => void offers.set(path, tools),
    write: (path, page) => void pages.set(path, page),
    lists: (path) => lists.get(path) ?? 0,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}

const any = { type: "object" as const };

const usual: Tool[] = [
  {
    name: "add",
    description: "Adds two numbers.",
    inputSchema: { type: "object", properties: { a: { type: "number" }, b: { type: "number" } }, required: ["a", "b"] },
    outputSchema: { type: "object", properties: { sum: { type: "number" } }, required: ["sum"] },
  },
  { name: "fails", description: "Says that it failed.", inputSchema: any },
  { name: "refuses", description: "Answers with an error of the protocol.", inputSchema: any },
  { name: "large", description: "Answers with more than anybody takes.", inputSchema: any },
  { name: "slow", description: "Answers after a minute.", inputSchema: any },
  { name: "misfits", description: "Breaks its own schema.", inputSchema: any, outputSchema: { type: "object", required: ["sum"] } },
  { name: "silent", description: "Leaves out what its schema says.", inputSchema: any, outputSchema: { type: "object" } },
];

function nextPage(path: string, cursor = "0"): string | undefined {
  if (path === "/circle") return "1";
  return path === "/endless" || path === "/tardy" ? String(Number(cursor) + 1) : undefined;
}

function serverOf(note: (call: Omit<McpCall, "authorization">) => void, page: string | undefined): Server {
  const server = new Server({ name: "test", version: "2.1.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
    const { name, arguments: args = {}, _meta: meta } = params;
    note({ tool: name, arguments: args, key: meta?.["tenuto/idempotencyKey"] });
    return name === "page" && page !== undefined ? text(page) : answerOf(name, args);
  });
  return server;
}

async function answerOf(name: string, { a, b }: Record<string, unknown>): Promise<CallToolResult> {
  if (name === "refuses") throw new Error("not today");
  if (name === "slow") await sleep(60_000);
  if (name === "fails") return { ...text("no such city"), isError: true };
  if (name === "large") return text("x".repeat(8_000_000));
  if (name === "misfits") return { ...text("?"), structuredContent: { other: 1 } };
  if (name === "silent") return text("done");
  const sum = Number(a) + Number(b);
  return { ...text(String(sum)), structuredContent: { sum } };
}

const text = (words: string): CallToolResult => ({ content: [{ type: "text", text: words }] });
