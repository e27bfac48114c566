import path from "node:path";
import pc from "picocolors";
import type { Settings } from "../settings.ts";
import { temporalListLink } from "../temporal-config/ui.ts";
import type { RunAnswer } from "./api-client.ts";
import { apiKeyFile } from "./api-key.ts";
import { costOf, counted, timeOf } from "./demo-progress.ts";
import type { Stack } from "./stack.ts";

/** What `examples/dependency-team` gives. */
interface Output {
  name: string;
  risk: string;
  licence: string;
  verdict: string;
  summary: string;
}

interface Usage {
  calls: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: number | null;
}

export function printResult(run: RunAnswer & { usage?: Usage }, { tookMs, verdicts }: { tookMs: number; verdicts: string }): void {
  // The run's output was made by the definition that the demo has published.
  const { name, risk, licence, verdict, summary } = run.output as Output;
  const colour = { take: pc.green, avoid: pc.red }[verdict] ?? pc.yellow;
  const { calls, inputTokens, outputTokens, costUsd } = run.usage ?? { calls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 };
  const lines = [
    "",
    `${pc.bold(`${name}: ${colour(verdict)}`)}  (risk ${risk}, licence ${licence})`,
    `  ${summary}`,
    "",
    `  ${counted(calls, "model call")}, ${counted(inputTokens + outputTokens, "token")}, ${costOf(costUsd)}, in ${timeOf(tookMs)}`,
    `  Recorded in ${nearby(verdicts)}, and remembered: run the demo again, and the last agent begins with it.`,
  ];
  console.log(lines.join("\n"));
}

export function printLinks(stack: Stack, settings: Settings, run: RunAnswer): void {
  const keyFile = settings.TENUTO_API_KEY === undefined ? apiKeyFile(settings.stateDir) : undefined;
  const ui = { TEMPORAL_UI_URL: stack.temporalUiUrl, TEMPORAL_NAMESPACE: settings.TEMPORAL_NAMESPACE };
  const rows = [
    ["Temporal UI", run.links.temporal],
    ["Runs", temporalListLink(ui, 'WorkflowType="run"')],
    ["Run as JSON", new URL(run.links.self, stack.apiUrl).href],
    ["API", `${stack.apiUrl}/api/v2`],
    ["Documentation", `${stack.apiUrl}/docs`],
    ["API key", keyFile === undefined ? "the one in TENUTO_API_KEY" : nearby(keyFile)],
  ];
  const table = rows.map(([name, value]) => `  ${pc.bold(name!.padEnd(14))} ${value}`);
  const bearer = keyFile === undefined ? "$TENUTO_API_KEY" : `$(cat '${keyFile}')`;
  console.log(["", ...table, "", `curl -H "Authorization: Bearer ${bearer}" ${new URL(run.links.self, stack.apiUrl).href}`, ""].join("\n"));
}

/** From here when it is below, else in full: both can be pasted. */
function nearby(file: string): string {
  const way = path.relative(process.cwd(), file);
  return way.startsWith("..") || path.isAbsolute(way) ? file : way;
}
