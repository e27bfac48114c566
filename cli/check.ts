import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import pc from "picocolors";
import { diffSql } from "../prisma/migrate.ts";
import { inheritedEnv } from "./laptop.ts";

// `npm run check [-- --report <file>]`: everything that needs no server, side by side, each part with its time.
const root = path.dirname(import.meta.dirname);
const at = (file: string): string => path.join(root, "node_modules", file);
const seconds = (sinceMs: number): string => `${((Date.now() - sinceMs) / 1_000).toFixed(1)} s`;

interface Part {
  name: string;
  /** Resolves with what went wrong, or with nothing. */
  run: () => Promise<string>;
}

/** Of the cases of each property (tests/cases.ts); `npm test` plays all. */
const TEST_SHARE = "0.1";

const jest = ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning", at("jest/bin/jest.js")];

const parts: Part[] = [
  { name: "format", run: () => node(at("oxfmt/bin/oxfmt"), "--check", ".") },
  { name: "lint", run: () => node(at("oxlint/bin/oxlint"), "--type-aware") },
  { name: "types", run: () => node(at("typescript/bin/tsc"), "--noEmit", "-p", ".") },
  { name: "prisma", run: checkPrisma },
  { name: "unused", run: () => node(at("knip/bin/knip.js"), "--no-progress") },
  { name: "unit tests", run: () => node(...jest, "--selectProjects", "unit", "--silent", "--maxWorkers", "100%") },
];

const failed: string[] = [];
const beganAt = Date.now();
await Promise.all(parts.map(runPart));

const passed = parts.length - failed.length;
console.log(`check: ${passed} passed, ${failed.length} failed${failed.length > 0 ? ` (${failed.join(", ")})` : ""} in ${seconds(beganAt)}`);
const report = process.argv[process.argv.indexOf("--report") + 1];
if (process.argv.includes("--report") && report)
  writeFileSync(report, JSON.stringify({ numPassedTests: passed, numFailedTests: failed.length }));
process.exitCode = failed.length > 0 ? 1 : 0;

async function runPart({ name, run }: Part): Promise<void> {
  const startedAt = Date.now();
  const trouble = await run();
  console.log(`${trouble === "" ? pc.green("✓") : pc.red("✗")} ${name.padEnd(12)} ${seconds(startedAt)}`);
  if (trouble === "") return;
  failed.push(name);
  console.log(trouble);
}

/** Nothing when it ends well; else all it said. */
function node(...args: string[]): Promise<string> {
  // Prisma's stand-in: see bootstrap.mjs.
  const env = { TEST_SHARE, ...inheritedEnv(), PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: "1" };
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((resolve) => child.on("close", (code) => resolve(code === 0 ? "" : said || `exit code ${code}`)));
}

async function checkPrisma(): Promise<string> {
  const invalid = await node(at("prisma/build/index.js"), "validate");
  if (invalid !== "") return invalid;
  const schema = readFileSync(path.join(root, "prisma/schema.prisma"), "utf8");
  // The generated client carries the schema it was made from.
  const generated = readFileSync(path.join(root, "prisma/generated/internal/class.ts"), "utf8");
  if (!generated.includes(JSON.stringify(schema))) return "prisma/generated was made from another schema: npm run generate";
  const migrated = readFileSync(path.join(root, "prisma/migrations/schema-of-last-migration.prisma"), "utf8");
  const missing = await diffSql(migrated, schema);
  return missing === "" ? "" : `schema.prisma has changed since the last migration: npm run tenuto migrate -- --create <name>\n${missing}`;
}
