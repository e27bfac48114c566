import { appendFile, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";
import { licences } from "../dependency-review/licences.ts";
import { relevantLines } from "../dependency-review/signals.ts";

// A small MCP server over stdio: what is installed in a project, and the verdicts on it. Tenuto starts it for each call (servers.json).
const [project = ".", verdicts = "verdicts.jsonl"] = process.argv.slice(2);
const server = new McpServer({ name: "packages", version: "1.0.0" });

// No path leads out of node_modules.
const name = z
  .string()
  .regex(/^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/)
  .describe("name of the npm package");
const read = { readOnlyHint: true };

server.registerTool(
  "facts",
  {
    description: "Look up the facts of an installed package: version, age, scripts, dependencies.",
    inputSchema: { name },
    annotations: read,
  },
  async (wanted) => {
    const manifest = JSON.parse(await textOf(wanted.name, "package.json")) as Manifest;
    const { version, description = "none", dependencies = {}, scripts = {}, repository } = manifest;
    const installs = ["preinstall", "install", "postinstall"].filter((script) => script in scripts);
    const needs = Object.keys(dependencies).length;
    const facts = [
      installs.length > 0
        ? `It runs a script when it is installed (${installs.join(", ")}), a serious risk to avoid.`
        : "It runs no script.",
      needs === 0 ? "It is small: it needs no other package." : `It needs ${needs} other packages.`,
      ...(repository ? [] : ["It names no repository, which is unusual."]),
    ];
    return said(`version: ${version}`, `description: ${description}`, `facts: ${facts.join(" ")}`);
  },
);

server.registerTool(
  "changelog",
  {
    description: "Read what the changelog of an installed package says about security, breaking changes and deprecations.",
    inputSchema: { name },
    annotations: read,
  },
  async (wanted) => {
    const { version } = JSON.parse(await textOf(wanted.name, "package.json")) as Manifest;
    const text = await firstOf(wanted.name, /^(changelog|changes|history)(\.(md|txt))?$/i);
    const lines = text === undefined ? [] : relevantLines(text, version);
    return said(...(lines.length > 0 ? lines : ["The changelog says nothing of security or breaking changes."]));
  },
);

server.registerTool(
  "licence",
  {
    description: "Read the licence of an installed package: what it declares, and how its text begins.",
    inputSchema: { name },
    annotations: read,
  },
  async (wanted) => {
    const { license } = JSON.parse(await textOf(wanted.name, "package.json")) as Manifest;
    const text = await firstOf(wanted.name, /^(licen[cs]e|copying)([.-].*)?$/i);
    const family = families.find(([, names]) => names.includes(license ?? ""))?.[0] ?? "unknown";
    return said(`licence: ${license ?? "none declared"}`, `family: ${family}`, (text ?? "There is no licence text.").slice(0, 600));
  },
);

server.registerTool(
  "record",
  {
    description: "Record the verdict on a package, for everybody to act on.",
    inputSchema: { name, verdict: z.enum(["take", "avoid"]), reason: z.string().min(1).max(600) },
  },
  async (verdict) => {
    await appendFile(verdicts, `${JSON.stringify(verdict)}\n`);
    return said(`recorded: ${verdict.verdict} ${verdict.name}`);
  },
);

// By the licence's name alone: of any other the model reads the text.
const families = [
  ["permissive", licences.permissive],
  ["weak copyleft", licences.weakCopyleft],
  ["strong copyleft", licences.strongCopyleft],
] as const;

interface Manifest {
  version: string;
  description?: string;
  license?: string;
  dependencies?: Record<string, string>;
  scripts?: Record<string, string>;
  repository?: unknown;
}

const folderOf = (of: string): string => path.join(project, "node_modules", of);

const textOf = (of: string, file: string): Promise<string> => readFile(path.join(folderOf(of), file), "utf8");

async function firstOf(of: string, pattern: RegExp): Promise<string | undefined> {
  const file = (await readdir(folderOf(of))).toSorted().find((entry) => pattern.test(entry));
  return file === undefined ? undefined : textOf(of, file);
}

const said = (...lines: string[]) => ({ content: [{ type: "text" as const, text: lines.join("\n") }] });

await server.connect(new StdioServerTransport());
