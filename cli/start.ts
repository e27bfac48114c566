import pc from "picocolors";
import { readSettings } from "../settings.ts";
import { readLaptop } from "./laptop.ts";
import { printLinks } from "./links.ts";
import { startStack, untilTold } from "./stack.ts";

// `npm start`: the whole stack, until Ctrl-C.
try {
  const settings = readSettings();
  const log = (line: string) => console.log(pc.dim(line));
  const stack = await startStack({ settings, ports: readLaptop().ports, stateDir: settings.stateDir, keepAlive: true, log });
  printLinks(stack, settings);
  console.log(pc.dim("  Ctrl-C ends everything."));
  await untilTold();
  console.log(pc.dim("Ending …"));
  await stack.stop();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();
