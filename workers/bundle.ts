import { bundleWorkflowCode } from "@temporalio/worker";
import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ownWorkflows = fileURLToPath(new URL("../workflows/index.ts", import.meta.url));

/**
 * The workflows as one script, as the worker loads them. Takes 1–2 s; `TENUTO_WORKFLOW_BUNDLE` names one that is ready.
 * All runs of a worker share our modules, which therefore keep nothing of a run: tests/tidy.test.ts.
 */
export const bundleWorkflows = async (): Promise<string> => `${noPromiseStacks}${await bundle(ownWorkflows, [ownWorkflows])}`;

/** Workflows that may keep something in their modules: each run loads them anew, as the SDK does it. */
export const bundleOthers = (workflowsPath: string): Promise<string> => bundle(workflowsPath, []);

async function bundle(workflowsPath: string, preloadModules: string[]): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    preloadModules,
    // Stack traces need to know the places; the text itself, which the SDK puts in, was 40 % of the bundle.
    webpackConfigHook: (config) => ({ ...config, devtool: "inline-nosources-source-map" }),
    logger: undefined as never,
  });
  return code;
}

// The SDK notes a stack for every promise a workflow makes, by `new globalThis.Error().stack`: up to half of the workflow
// thread's time. Here it finds none, so that its `__stack_trace` query answers nothing; `setCurrentDetails` tells where a
// run stands. All code of the bundle sees the real `Error`. On the first line, so that source maps stay right.
const noPromiseStacks = "const Error=globalThis.Error;globalThis.Error=class{};";

/** The bundle for a worker that is part of a deployment: `workflows/lock.ts` asks for it. */
export const withBuild = (bundle: string): string => `globalThis.workerHasBuild=true;${bundle}`;

/** Build the bundle into a file; whoever reads it at the same time sees the old one or the new one. */
export async function writeBundle(file: string): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true });
  const half = `${file}.${process.pid}`;
  await writeFile(half, await bundleWorkflows());
  await rename(half, file);
  return file;
}
