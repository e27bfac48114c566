import pc from "picocolors";
import type { EventAnswer } from "./api-client.ts";

export interface Counted {
  /** Path of the `foreach`: its items are counted, not listed. */
  list: string;
  /** With this step an item is done. */
  lastStep: string;
  total: number;
}

export interface Progress {
  tell(event: EventAnswer): void;
  end(): void;
}

/** One line for each finished step; the items of a long list share one that moves on a terminal. */
export function createProgress({ list, lastStep, total }: Counted): Progress {
  const live = createLiveLine();
  const items = new Set<string>();
  const count = (step: string) => {
    const [, item, rest] = new RegExp(`^${list}\\[(\\d+)\\]\\.(\\w+)$`).exec(step) ?? [];
    if (item === undefined || rest !== lastStep) return;
    items.add(item);
    live.show(`  ${pc.dim("…")} ${list} ${items.size}/${total}`, items.size % COUNT_EVERY === 0);
  };
  return {
    tell(event) {
      const { type, step } = event;
      if (step === null) return;
      const isEnd = type === "step.completed" || type === "step.failed";
      if (step.startsWith(`${list}[`)) {
        if (type === "step.failed") live.print(lineOf(event));
        else if (isEnd) count(step);
      } else if ((isEnd && isTold(event)) || type === "approval.requested") {
        live.print(step === list ? `${lineOf(event)}${pc.dim(`  ${items.size} of ${total}`)}` : lineOf(event));
      }
    },
    end: () => live.clear(),
  };
}

// Without a terminal each count is a line of its own.
const COUNT_EVERY = 10;

/** A scope below the top says nothing that its steps have not said. */
const isTold = ({ step, data }: EventAnswer): boolean => !scopes.has(String(data["type"])) || /^\w+$/.test(step ?? "");
const scopes = new Set(["switch", "sequence", "loop", "parallel", "foreach", "try"]);

function lineOf({ type, step, data }: EventAnswer): string {
  if (type === "approval.requested") return `  ${pc.yellow("?")} ${pc.bold(String(step))}  ${String(data["title"])}`;
  const head = `${String(step).padEnd(WIDTH)} ${pc.dim(String(data["type"]).padEnd(9))}`;
  if (type === "step.failed") return `  ${pc.red("✗")} ${head} ${detailOf(data["error"])}`;
  return `  ${pc.green("✓")} ${head} ${pc.dim(timeOf(data["durationMs"]).padStart(7))}`;
}

const WIDTH = 28;

export const timeOf = (ms: unknown): string =>
  typeof ms !== "number" ? "" : ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;

const detailOf = (error: unknown): string => {
  const { detail, code } = (error ?? {}) as { detail?: string; code?: string };
  return pc.red(`${detail ?? "failed"}${code === undefined ? "" : ` [${code}]`}`);
};

interface LiveLine {
  print(line: string): void;
  /** Replaces itself on a terminal; elsewhere only what is worth a line is printed. */
  show(line: string, isWorthALine: boolean): void;
  clear(): void;
}

function createLiveLine(): LiveLine {
  if (!process.stdout.isTTY)
    return { print: (line) => console.log(line), show: (line, isWorthALine) => isWorthALine && console.log(line), clear: () => undefined };
  const clear = () => process.stdout.write("\r\u001B[K");
  return {
    clear,
    print(line) {
      clear();
      console.log(line);
    },
    show(line) {
      clear();
      process.stdout.write(line);
    },
  };
}
