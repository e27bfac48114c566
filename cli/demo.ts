import { readFile } from "node:fs/promises";
import path from "node:path";
import pc from "picocolors";
import { readSettings, type Settings } from "../settings.ts";
import { ask, followRun, Refused, type RunAnswer, type Server } from "./api-client.ts";
import { answerApproval } from "./demo-approval.ts";
import { createProgress } from "./demo-progress.ts";
import { printLinks, printResult } from "./demo-result.ts";
import { readLaptop } from "./laptop.ts";
import { runningStack } from "./orphans.ts";
import { run as runProgram, tsxArguments } from "./programs.ts";
import { startStack, untilTold, type Stack } from "./stack.ts";

export interface DemoOptions {
  /** Folder of the Node project to review; absent: this repository. */
  project?: string;
  /** Alias or `provider/model`. */
  model?: string;
  /** A person decides; otherwise the demo does, through the API. */
  ask: boolean;
  /** Serve on when the run has ended, until Ctrl-C. */
  stay: boolean;
}

/** `npm run demo`: start everything, review the dependencies of a project, show what came of it and where to look at it. Gives the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const settings = readSettings();
  const project = await readProject(options.project ?? root);
  await refuseSecondStack(settings.stateDir);
  const told = untilTold();
  const begun = Date.now();
  const log = (line: string) => console.log(pc.dim(line));
  log("Starting Temporal, Postgres, Redis, the API and a worker …");
  const [stack, models] = await Promise.all([startDemoStack(settings, project.folder, log), describeModels()]);
  log(`Ready in ${((Date.now() - begun) / 1_000).toFixed(1)} s.`);
  try {
    console.log(`\n${pc.bold(`Reviewing the ${project.dependencies} direct dependencies of ${project.name}`)}`);
    console.log(`Model: ${options.model === undefined ? models : `${options.model}, as asked (default: ${models})`}\n`);
    const review = reviewProject({ stack, settings, options, total: project.dependencies });
    const code = await Promise.race([review, told.then(() => 130)]);
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
const example = path.join(root, "examples/dependency-review");

interface Project {
  folder: string;
  name: string;
  dependencies: number;
}

/** What can be said before anything is started. */
async function readProject(given: string): Promise<Project> {
  const folder = path.resolve(given);
  const manifest = await readJson(folder, "package.json", "--project wants the folder of a Node project.");
  await readJson(folder, "package-lock.json", `Run "npm install" in ${folder} first.`);
  const { name = path.basename(folder) } = manifest as { name?: string };
  const lists = [manifest["dependencies"], manifest["devDependencies"], manifest["optionalDependencies"]];
  const dependencies = lists.reduce<number>((sum, list) => sum + Object.keys(list ?? {}).length, 0);
  return { folder, name, dependencies };
}

async function readJson(folder: string, name: string, advice: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(path.join(folder, name), "utf8")) as Record<string, unknown>;
  } catch (cause) {
    throw new Error(`${path.join(folder, name)} cannot be read. ${advice}`, { cause });
  }
}

async function refuseSecondStack(stateDir: string): Promise<void> {
  const owner = await runningStack(stateDir);
  if (owner === undefined) return;
  throw new Error(
    `A stack is serving from ${stateDir} already (process ${owner}). Stop it by Ctrl-C in its terminal and run the demo again, ` +
      "or let the demo have its own: set TENUTO_STATE_DIR to another folder, and the ports that `npm run doctor` names.",
  );
}

/** The worker gets the example's tools, and may read nothing but the project. */
const startDemoStack = (settings: Settings, project: string, log: (line: string) => void): Promise<Stack> =>
  startStack({
    settings,
    ports: readLaptop().ports,
    stateDir: settings.stateDir,
    // The run must end whatever happens to a process.
    keepAlive: true,
    log,
    env: { TENUTO_TOOLS: [...settings.TENUTO_TOOLS, path.join(example, "tools.ts")].join(","), TENUTO_FILES_ROOT: project },
  });

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
  total: number;
}

async function reviewProject({ stack, settings, options, total }: Review): Promise<number> {
  const server: Server = { url: stack.apiUrl, apiKey: stack.apiKey };
  await publishExample(server);
  const input = { project: ".", ...(options.model === undefined ? {} : { model: options.model }) };
  const body = JSON.stringify({ workflow: "dependency-review", input });
  const begun = Date.now();
  const started = await ask<RunAnswer>(server, "/api/v2/runs", { method: "POST", body });
  await followToItsEnd(server, started.id, { settings, options, total });
  const run = await ask<RunAnswer>(server, `/api/v2/runs/${started.id}?wait=30`);
  const isDone = run.status.startsWith("completed");
  printResult(run, Date.now() - begun);
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

async function followToItsEnd(server: Server, run: string, review: Omit<Review, "stack">): Promise<void> {
  const progress = createProgress({ list: "packages", lastStep: "assess", total: review.total });
  for await (const event of followRun(server, run)) {
    progress.tell(event);
    if (event.type === "approval.requested") await answerApproval(server, event, review);
  }
  progress.end();
}
