import { appendFile, readFile } from "node:fs/promises";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

// A small MCP server over stdio: notes in a file. Tenuto starts it for each call (examples/mcp/servers.json).
const file = process.argv[2] ?? "notes.jsonl";
const server = new McpServer({ name: "notes", version: "1.2.0" });

const noteSchema = z.object({ topic: z.string(), text: z.string() });

async function notesOf(topic: string): Promise<string[]> {
  const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  return lines.map((line) => noteSchema.parse(JSON.parse(line))).flatMap((note) => (note.topic === topic ? [note.text] : []));
}

server.registerTool(
  "add",
  { description: "Keep a note.", inputSchema: { topic: z.string().min(1), text: z.string().min(1) }, outputSchema: { count: z.int() } },
  async (note) => {
    await appendFile(file, `${JSON.stringify(note)}\n`);
    const structuredContent = { count: (await notesOf(note.topic)).length };
    return { content: [{ type: "text", text: `${structuredContent.count} notes on ${note.topic}` }], structuredContent };
  },
);

server.registerTool(
  "list",
  { description: "All notes on a topic.", inputSchema: { topic: z.string().min(1) }, annotations: { readOnlyHint: true } },
  async ({ topic }) => {
    const notes = await notesOf(topic);
    if (notes.length === 0) return { content: [{ type: "text", text: `There is no note on ${topic}.` }], isError: true };
    return { content: notes.map((text) => ({ type: "text", text })) };
  },
);

await server.connect(new StdioServerTransport());
