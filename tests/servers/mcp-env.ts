import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";

// An MCP server that says what it was given; one that sends a line without an end; one that dies when it is called.
const server = new McpServer({ name: "env", version: "1.0.0" });

server.registerTool("env", { description: "Names of its variables." }, () => ({
  content: Object.keys(process.env).map((name) => ({ type: "text", text: name })),
}));

server.registerTool("leaks", { description: "Says what it should not, as an error." }, () => ({
  isError: true,
  content: [{ type: "text", text: `refused: ${process.env["VAULT_TOKEN"]}` }],
}));

server.registerTool("flood", { description: "Says too much at once." }, () => ({
  content: [{ type: "text", text: "x".repeat(8_000_000) }],
}));

server.registerTool("dies", { description: "Ends in the midst of its work." }, () => process.exit(1));

await server.connect(new StdioServerTransport());
