import { defineCommand, runMain } from "citty";
import { readSettings } from "../settings.ts";
import { dynamicConfigYaml } from "../temporal-config/dynamic-config.ts";
import { missingKey, type Server } from "./api-client.ts";
import { apiKeyFile, keptApiKey } from "./api-key.ts";
import { command } from "./command.ts";
import { readLaptop } from "./laptop.ts";

// Commands load what they need when they are called: `tenuto config` must not wait for Prisma.
const commands = {
  validate: command({
    name: "validate",
    description: "Check a definition, without a server",
    args: { file: { type: "positional", description: "a .ts, .yaml or .json file", required: true } },
    run: async ({ file }) => (await import("./validate.ts")).validate(file),
  }),
  publish: command({
    name: "publish",
    description: "Check a definition and publish it",
    args: {
      file: { type: "positional", description: "a .ts, .yaml or .json file", required: true },
      key: { type: "string", description: "Idempotency-Key" },
    },
    run: async ({ file, key }) => (await import("./publish.ts")).publish(server(), file, key),
  }),
  start: command({
    name: "start",
    description: "Start a run",
    args: {
      workflow: { type: "positional", description: "name of a published workflow", required: true },
      version: { type: "string", description: "absent: the highest" },
      input: { type: "string", description: "JSON, or a file that holds it" },
      wait: { type: "boolean", description: "tell the steps, then the output", default: false },
      key: { type: "string", description: "Idempotency-Key: the same key starts one run" },
    },
    run: async ({ workflow, version, input, wait, key }) => {
      const { startRun } = await import("./start-run.ts");
      return startRun(server(), { workflow, version, input, wait, key, bearer: bearer() });
    },
  }),
  doctor: command({
    name: "doctor",
    description: "Look at everything a run needs and say how to mend what is missing",
    run: async () => (await import("./doctor.ts")).doctor(),
  }),
  migrate: command({
    name: "migrate",
    description: "Bring the database of DATABASE_URL up to date, or write the next migration",
    args: { create: { type: "string", description: "name of a migration to write from schema.prisma" } },
    run: ({ create }) => migrateCommand(create),
  }),
  config: command({
    name: "config",
    description: "Print the dynamic config of a Temporal cluster",
    run: () => {
      console.log(dynamicConfigYaml());
      return 0;
    },
  }),
};

await runMain(defineCommand({ meta: { name: "tenuto", description: "Durable workflows for AI agents" }, subCommands: commands }));

function server(): Server {
  const { TENUTO_API_KEY, stateDir } = readSettings();
  const apiKey = TENUTO_API_KEY ?? keptApiKey(stateDir);
  if (apiKey === undefined) throw missingKey(stateDir);
  return { url: readLaptop().url, apiKey };
}

/** The key as a shell finds it: lines for pasting must not show it. */
function bearer(): string {
  const { TENUTO_API_KEY, stateDir } = readSettings();
  return TENUTO_API_KEY === undefined ? `$(cat '${apiKeyFile(stateDir)}')` : "$TENUTO_API_KEY";
}

async function migrateCommand(create: string | undefined): Promise<number> {
  const { createMigration, migrate } = await import("../prisma/migrate.ts");
  if (create !== undefined) {
    const folder = await createMigration(create);
    console.log(folder ? `prisma/migrations/${folder}/migration.sql: read it before you commit it.` : "The schema has not changed.");
    return 0;
  }
  const { DATABASE_URL } = readSettings();
  if (DATABASE_URL === undefined) throw new Error("Set DATABASE_URL. The stack on a laptop migrates its own database when it starts.");
  const applied = await migrate(DATABASE_URL);
  console.log(applied.length > 0 ? `Applied: ${applied.join(", ")}.` : "The database is up to date.");
  return 0;
}
