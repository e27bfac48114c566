import path from "node:path";
import pc from "picocolors";
import type { Settings } from "../settings.ts";
import { temporalListLink } from "../temporal-config/ui.ts";
import type { RunAnswer } from "./api-client.ts";
import { apiKeyFile } from "./api-key.ts";
import { timeOf } from "./demo-progress.ts";
import type { Stack } from "./stack.ts";

/** What `examples/dependency-review` gives. */
interface Output {
  decision: string;
  report: string;
  flagged: Package[];
  packages: Package[];
}

interface Package {
  name: string;
  risk: "high" | "medium" | "low";
  concerns: string;
  summary: string;
}

interface Usage {
  calls: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: number | null;
}

export function printResult(run: RunAnswer & { usage?: Usage }, tookMs: number): void {
  if (!run.status.startsWith("completed")) return;
  // The run's output was made by the definition that the demo has published.
  const { packages, flagged, decision, report } = run.output as Output;
  const colours = { high: pc.red, medium: pc.yellow, low: pc.green };
  const rows = (["high", "medium", "low"] as const).map((risk) => {
    const names = packages.filter((one) => one.risk === risk).map(({ name }) => name);
    return `  ${colours[risk](risk.padEnd(8))} ${String(names.length).padStart(4)}  ${pc.dim(shortList(names))}`;
  });
  const concerns = flagged.slice(0, LINES_MAX).map((one) => `    ${one.name.padEnd(28)} ${pc.dim(shorten(reasonOf(one), 90))}`);
  if (flagged.length > LINES_MAX) concerns.push(pc.dim(`    and ${flagged.length - LINES_MAX} more, in the report`));
  const used = run.usage === undefined ? "" : `, ${run.usage.calls} model calls, ${run.usage.inputTokens + run.usage.outputTokens} tokens`;
  const lines = [
    "",
    pc.bold(`Reviewed ${packages.length} packages in ${timeOf(tookMs)}${used}`),
    ...rows,
    "",
    `  ${pc.bold("flagged")} ${String(flagged.length).padStart(5)}  ${decision}`,
    ...concerns,
    "",
    `  ${pc.bold("Report")}  ${nearby(report)}`,
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

const LINES_MAX = 10;

/** What the rules found; the model's own words where they found nothing. */
const reasonOf = ({ concerns, summary }: Package): string => (concerns === "nothing stands out" ? summary : concerns);

function shortList(names: string[]): string {
  const shown = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}

const shorten = (text: string, max: number): string => (text.length > max ? `${text.slice(0, max - 1)}…` : text);

/** From here when it is below, else in full: both can be pasted. */
function nearby(file: string): string {
  const way = path.relative(process.cwd(), file);
  return way.startsWith("..") || path.isAbsolute(way) ? file : way;
}
