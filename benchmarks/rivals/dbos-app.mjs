import { createRequire } from "node:module";
import path from "node:path";

// The same work for DBOS: its steps are recorded in Postgres. Arguments: folder of its packages, database.
const [folder, systemDatabaseUrl] = process.argv.slice(2);
const { DBOS } = createRequire(path.join(folder, "package.json"))("@dbos-inc/dbos-sdk");

const noop = (step) => DBOS.runStep(async () => null, { name: `step${step}` });

const workflows = {
  W1: DBOS.registerWorkflow(
    async () => {
      for (let step = 0; step < 12; step++) await noop(step);
      return null;
    },
    { name: "W1" },
  ),
  W2: DBOS.registerWorkflow(async () => Promise.all(Array.from({ length: 50 }, (_, step) => noop(step))), { name: "W2" }),
};

DBOS.setConfig({ name: "bench", systemDatabaseUrl, logLevel: "warn" });
await DBOS.launch();
process.once("disconnect", () => process.exit(0));
process.once("SIGTERM", () => void DBOS.shutdown().then(() => process.exit(0)));
process.on("message", ({ id, workload }) => {
  // Not as a method: DBOS would take the table for an instance of a class.
  const run = workflows[workload];
  run().then(
    () => process.send({ id }),
    (error) => process.send({ id, error: String(error) }),
  );
});
process.send({ ready: true });
