import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as bindings from "@prisma/schema-engine-wasm/schema_engine_bg";
import { ColumnTypeEnum, bindMigrationAwareSqlAdapterFactory, type SqlDriverAdapter } from "@prisma/driver-adapter-utils";

/**
 * The SQL that leads from one schema (text of a schema.prisma; none = an empty database) to another.
 * Needs no database and no download: Prisma's own diff engine as WebAssembly, behind calls that are internal
 * to Prisma and move with its version; hence the exact pin and tests/migrations.test.ts.
 */
export async function diffSql(fromSchema: string | undefined, toSchema: string): Promise<string> {
  await loadEngine();
  const connect = () => Promise.resolve(noDatabase());
  const factory = { provider: "postgres", adapterName: "@prisma/adapter-pg", connect, connectToShadowDb: connect } as const;
  const adapter = bindMigrationAwareSqlAdapterFactory(factory);
  const engine = await bindings.SchemaEngine.new({ datamodels: [["schema.prisma", toSchema]] }, () => undefined, adapter);
  try {
    const result = await engine.diff({
      from: fromSchema === undefined ? { tag: "empty" } : datamodel(fromSchema),
      to: datamodel(toSchema),
      script: true,
      exitCode: false,
      filters: { externalTables: [], externalEnums: [] },
    });
    const sql = result.stdout ?? "";
    return sql.startsWith("-- This is an empty migration") ? "" : sql;
  } finally {
    engine.free();
  }
}

// Comparing two schemas asks the database one thing: whether the schema `public` exists, and the server's version.
const noDatabase = (): SqlDriverAdapter => ({
  provider: "postgres",
  adapterName: "@prisma/adapter-pg",
  queryRaw: () =>
    Promise.resolve({
      columnNames: ["exists", "version", "numeric_version"],
      columnTypes: [ColumnTypeEnum.Boolean, ColumnTypeEnum.Text, ColumnTypeEnum.Int32],
      rows: [[true, "PostgreSQL 15.0", 150_000]],
    }),
  executeRaw: () => Promise.resolve(0),
  executeScript: () => Promise.resolve(),
  startTransaction: () => Promise.reject(new Error("Comparing schemas starts no transaction.")),
  dispose: () => Promise.resolve(),
});

const datamodel = (content: string) => ({ tag: "schemaDatamodel" as const, files: [{ path: "schema.prisma", content }] });

let loaded: Promise<void> | undefined;
const loadEngine = (): Promise<void> => (loaded ??= instantiate());

// The package's own entry imports a .wasm file as a module, which Node 20 and Jest cannot.
async function instantiate(): Promise<void> {
  const entry = createRequire(import.meta.url).resolve("@prisma/schema-engine-wasm/schema_engine_bg");
  const bytes = await readFile(path.join(path.dirname(entry), "schema_engine_bg.wasm"));
  const { instance } = await webAssembly.instantiate(bytes, { "./schema_engine_bg.js": bindings });
  const { __wbg_set_wasm: setWasm } = bindings as unknown as { __wbg_set_wasm: (exports: WasmExports) => void };
  setWasm(instance.exports);
  instance.exports.__wbindgen_start();
}

interface WasmExports {
  __wbindgen_start(): void;
}

// Node has it, but neither lib es2023 nor @types/node 20 tells TypeScript so.
const webAssembly = (globalThis as unknown as { WebAssembly: WasmLoader }).WebAssembly;

interface WasmLoader {
  instantiate(bytes: Uint8Array, imports: Record<string, object>): Promise<{ instance: { exports: WasmExports } }>;
}
