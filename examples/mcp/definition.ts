// A note kept by an MCP server; how to run it stands in the YAML.
import { z } from "zod";
import { workflow } from "../../language/builder.ts";

const input = z.object({ topic: z.string(), text: z.string() });
const result = z.looseObject({ text: z.string(), structured: z.looseObject({ count: z.number() }) });

export default workflow(
  "keep-note",
  { version: "1.0.0", title: "A note kept by an MCP server", input, policy: { tools: ["notes/*"], models: [], hosts: [] } },
  ({ input, tool }) => {
    const kept = tool(
      "keep",
      { name: "add", output: result },
      { topic: input.topic, text: input.text },
      { server: "notes", version: "^1.2" },
    );
    const all = tool("all", { name: "list", output: result }, { topic: input.topic }, { server: "notes", effect: "read" });
    return { count: kept.structured.count, notes: all.text };
  },
);
