import pc from "picocolors";
import { readSettings } from "../settings.ts";
import { runDemo } from "./demo.ts";
import { readLaptop } from "./laptop.ts";
import { printLinks } from "./links.ts";
import { startStack, untilTold } from "./stack.ts";

// `npm run demo`: the stack, one run from publishing to its result, and on a terminal the links for as long as you look.
const staysOpen = process.stdout.isTTY && !process.argv.includes("--ci");

try {
  const settings = readSettings();
  const log = (line: string) => console.log(pc.dim(line));
  const stack = await startStack({ settings, ports: readLaptop().ports, stateDir: settings.stateDir, keepAlive: true, log });
  try {
    await runDemo(stack);
    printLinks(stack, settings);
    if (staysOpen) await untilTold();
  } finally {
    await stack.stop();
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();
