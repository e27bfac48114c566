import { parseArgs } from "node:util";
import { runDemo } from "./demo.ts";

const usage = `npm run demo -- [options]
  --project <folder>  Node project; this repository without it
  --package <name>    which of its installed packages is reviewed; without it one that runs a script when it is installed
  --model <alias>     model that answers: an alias or provider/model
  --ask               leave the approval to you
  --ci                end when the run has ended, also on a terminal`;

try {
  const { values } = parseArgs({
    options: {
      ci: { type: "boolean", default: false },
      ask: { type: "boolean", default: false },
      project: { type: "string" },
      package: { type: "string" },
      model: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) console.log(usage);
  else if (values.ask && values.ci) throw new Error("--ask waits for a person, --ci for nobody: give one of them.");
  else process.exitCode = await runDemo({ ...values, stay: process.stdout.isTTY && !values.ci });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  if ((error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS")) console.error(usage);
  process.exitCode = 1;
}
process.exit();
