import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import pc from "picocolors";
import { readSettings, type Settings } from "../settings.ts";
import { ask, followRun, Refused, type RunAnswer, type Server } from "./api-client.ts";
import { answerApproval } from "./demo-approval.ts";
import { createProgress } from "./demo-progress.ts";
import { readProject, type Project } from "./demo-project.ts";
import { printLinks, printResult } from "./demo-result.ts";
import { readLaptop } from "./laptop.ts";
import { runningStack } from "./orphans.ts";
import { run as runProgram, tsxArguments } from "./programs.ts";
import { startStack, untilTold, type Stack } from "./stack.ts";

export interface DemoOptions {
  /** Folder of a Node project; absent: this repository. */
  project?: string;
  /** What is reviewed of it; absent: the first one that is worth it. */
  package?: string;
  /** Alias or `provider/model`. */
  model?: string;
  /** A person decides; otherwise the demo does, through the API. */
  ask: boolean;
  /** Serve on when the run has ended, until Ctrl-C. */
  stay: boolean;
}

/** `npm run demo`: start everything, have a team of agents review a package, show what came of it and where to look at it. Gives the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const settings = readSettings();
  const project = await readProject(options.project ?? root, options.package);
  await refuseSecondStack(settings.stateDir);
  const told = untilTold();
  const begun = Date.now();
  const log = (line: string) => console.log(pc.dim(line));
  log("Starting Temporal, Postgres, Redis, the API and a worker …");
  const [stack, models] = await Promise.all([startDemoStack(settings, project, log), describeModels()]);
  log(`Ready in ${((Date.now() - begun) / 1_000).toFixed(1)} s.`);
  try {
    console.log(`\n${pc.bold(`May ${project.name} depend on ${project.package}? Four agents look at it.`)}`);
    console.log(`Model: ${options.model === undefined ? models : `${options.model}, as asked (default: ${models})`}\n`);
    const code = await Promise.race([reviewPackage({ stack, settings, options, project }), told.then(() => 130)]);
    if (options.stay && code !== 130) {
      console.log(pc.dim("  Serving until Ctrl-C."));
      await told;
    }
    return code;
  } finally {
    log("Ending …");
    await stack.stop();
  }
}

const root = path.dirname(import.meta.dirname);
const example = path.join(root, "examples/dependency-team");

async function refuseSecondStack(stateDir: string): Promise<void> {
  const owner = await runningStack(stateDir);
  if (owner === undefined) return;
  throw new Error(
    `A stack is serving from ${stateDir} already (process ${owner}). Stop it by Ctrl-C in its terminal and run the demo again, ` +
      "or let the demo have its own: set TENUTO_STATE_DIR to another folder, and the ports that `npm run doctor` names.",
  );
}

/** The worker gets the example's MCP server, which reads the project. */
const startDemoStack = async (settings: Settings, project: Project, log: (line: string) => void): Promise<Stack> =>
  startStack({
    settings,
    ports: readLaptop().ports,
    stateDir: settings.stateDir,
    // The run must end whatever happens to a process.
    keepAlive: true,
    log,
    env: { TENUTO_MCP_SERVERS: await writeServers(settings.stateDir, project.folder) },
  });

/** Those of the example, for this project; verdicts lie with the rest of the state. */
async function writeServers(stateDir: string, project: string): Promise<string> {
  const { packages } = JSON.parse(await readFile(path.join(example, "servers.json"), "utf8")) as { packages: { args: string[] } };
  const args = [...packages.args.slice(0, -2), project, verdictsIn(stateDir)];
  const file = path.join(stateDir, "demo-servers.json");
  await mkdir(stateDir, { recursive: true });
  await writeFile(file, JSON.stringify({ packages: { ...packages, args, cwd: root } }, null, 2));
  return file;
}

const verdictsIn = (stateDir: string): string => path.join(stateDir, "verdicts.jsonl");

// In a process of its own: activities/ is no room of ours to import.
async function describeModels(): Promise<string> {
  const [models, settings] = ["activities/models.ts", "settings.ts"].map((file) => JSON.stringify(path.join(root, file)));
  const code = `import { describeModels } from ${models}; import { readSettings } from ${settings}; console.log(describeModels(readSettings()));`;
  return (await runProgram(process.execPath, [...tsxArguments(), "--input-type=module", "--eval", code])).trim();
}

interface Review {
  stack: Stack;
  settings: Settings;
  options: DemoOptions;
  project: Project;
}

async function reviewPackage({ stack, settings, options, project }: Review): Promise<number> {
  const server: Server = { url: stack.apiUrl, apiKey: stack.apiKey };
  await publishExample(server);
  const input = { name: project.package, ...(options.model === undefined ? {} : { model: options.model }) };
  const body = JSON.stringify({ workflow: "dependency-team", input });
  const begun = Date.now();
  const started = await ask<RunAnswer>(server, "/api/v2/runs", { method: "POST", body });
  const progress = createProgress(server, started.id, project.package);
  for await (const event of followRun(server, started.id)) {
    await progress(event);
    if (event.type === "approval.requested") await answerApproval(server, event, { settings, options });
  }
  const run = await ask<RunAnswer>(server, `/api/v2/runs/${started.id}?wait=30`);
  const isDone = run.status.startsWith("completed");
  if (isDone) printResult(run, { tookMs: Date.now() - begun, verdicts: verdictsIn(settings.stateDir) });
  printLinks(stack, settings, run);
  if (!isDone) console.error(pc.red(`The run ${run.status}${run.error ? `: ${run.error.detail} [${run.error.code}]` : "."}`));
  else if (!options.stay) console.log(pc.dim("  The links work while a stack serves from this folder: npm start."));
  return isDone ? 0 : 1;
}

async function publishExample(server: Server): Promise<void> {
  const file = path.join(example, "definition.yaml");
  try {
    await ask(server, "/api/v2/workflows", { method: "POST", body: await readFile(file, "utf8"), mediaType: "application/yaml" });
  } catch (cause) {
    if (!(cause instanceof Refused) || cause.problem.code !== "version_exists") throw cause;
    throw new Error(`${file} has changed since it was published here, and a published version never changes: raise its \`version\`.`, {
      cause,
    });
  }
}
