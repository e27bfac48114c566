import { bundleWorkflows } from "../workers/bundle.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { heapPerRun } from "./heap.ts";
import type { Log } from "./test-bed.ts";

/** How large the workflow code is, and what a run holds in the workflow thread while it is cached there. */
export async function measureSize({ log, runs = 300 }: { log: Log; runs: number | undefined }): Promise<Figure[]> {
  const bundle = await bundleWorkflows();
  const code = bundle.replace(/\n\/\/# sourceMappingURL=.*$/s, "");
  const heap = await heapPerRun({ log, runs });
  return [
    figure("size.bundle", { value: Buffer.byteLength(bundle) / 1e6, unit: "MB", demand: 2.5 }),
    figure("size.bundle without its source map", { value: Buffer.byteLength(code) / 1e6, unit: "MB" }),
    figure("size.modules of zod in the bundle", { value: modulesOf(code, "zod"), unit: "modules" }),
    figure("size.heap per cached run", { value: heap.ours / 1e3, unit: "KB", demand: 60 }),
    figure("size.heap per cached run, hand-written", { value: heap.handWritten / 1e3, unit: "KB" }),
  ];
}

const modulesOf = (code: string, name: string): number => new Set(code.match(new RegExp(`node_modules/${name}/[\\w./-]+`, "g")) ?? []).size;
