import pc from "picocolors";
import { readSettings } from "../settings.ts";
import { apiKeyFile } from "./api-key.ts";
import { readLaptop } from "./laptop.ts";
import { startStack, untilTold, type Stack } from "./stack.ts";

// `npm start`: the whole stack, until Ctrl-C.
try {
  const settings = readSettings();
  const log = (line: string) => console.log(pc.dim(line));
  const stack = await startStack({ settings, ports: readLaptop().ports, stateDir: settings.stateDir, keepAlive: true, log });
  console.log(linksOf(stack, settings.TENUTO_API_KEY === undefined ? apiKeyFile(settings.stateDir) : "TENUTO_API_KEY"));
  await untilTold();
  console.log(pc.dim("Ending …"));
  await stack.stop();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();

function linksOf(stack: Stack, key: string): string {
  const rows = [
    ["API", `${stack.apiUrl}/api/v2`],
    ["Documentation", `${stack.apiUrl}/docs`],
    ["Temporal Web UI", stack.temporalUiUrl],
    ["API key", key],
    ...stack.parts.map(({ name, how, pid }) => [name, pid === undefined ? how : `${how} (process ${pid})`]),
  ];
  const table = rows.map(([name, value]) => `  ${pc.bold(name!.padEnd(16))} ${value}`);
  const bearer = key === "TENUTO_API_KEY" ? "$TENUTO_API_KEY" : `$(cat ${key})`;
  return ["", ...table, "", `  curl -H "Authorization: Bearer ${bearer}" ${stack.apiUrl}/api/v2/runs`, ""].join("\n");
}
