import pc from "picocolors";
import type { Settings } from "../settings.ts";
import { temporalListLink } from "../temporal-config/ui.ts";
import { apiKeyFile } from "./api-key.ts";
import type { Stack } from "./stack.ts";

/** Where everything is, and a line to try it with. The key itself is not shown again. */
export function printLinks(stack: Stack, settings: Settings): void {
  const keyFile = settings.TENUTO_API_KEY === undefined ? apiKeyFile(settings.stateDir) : undefined;
  const ui = { TEMPORAL_UI_URL: stack.temporalUiUrl, TEMPORAL_NAMESPACE: settings.TEMPORAL_NAMESPACE };
  const rows = [
    ["API", `${stack.apiUrl}/api/v2`],
    ["Documentation", `${stack.apiUrl}/docs`],
    ["Temporal Web UI", stack.temporalUiUrl],
    ["Runs", temporalListLink(ui, 'WorkflowType="run"')],
    ["API key", keyFile ?? "the one in TENUTO_API_KEY"],
    ...stack.parts.map(({ name, how, pid }) => [name, pid === undefined ? how : `${how} (process ${pid})`]),
  ];
  const table = rows.map(([name, value]) => `  ${pc.bold(name!.padEnd(16))} ${value}`);
  const bearer = keyFile === undefined ? "$TENUTO_API_KEY" : `$(cat ${keyFile})`;
  console.log(["", ...table, "", `  curl -H "Authorization: Bearer ${bearer}" ${stack.apiUrl}/api/v2/runs`, ""].join("\n"));
}
