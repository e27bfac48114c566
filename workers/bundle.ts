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

// For every promise of a workflow the SDK compiles two functions, `promise.constructor.constructor("return globalThis.…")`, and
// notes a stack: more than half of the workflow thread's time. Here it gets the two ready made, and an error without a stack, so that
// its `__stack_trace` query answers nothing; `setCurrentDetails` tells where a run stands. On the first line, so that source maps stay right.
const noPromiseStacks = [
  "{const make=Promise.constructor,bare=class{},made={",
  '"return globalThis.__TEMPORAL_ACTIVATOR__":()=>globalThis.__TEMPORAL_ACTIVATOR__,',
  '"return globalThis.Error":()=>bare};',
  'Object.defineProperty(Promise,"constructor",{value:(code)=>made[code]??make(code)})}',
].join("");

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
