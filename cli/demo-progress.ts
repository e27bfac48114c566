import pc from "picocolors";
import { ask, type EventAnswer, type Server } from "./api-client.ts";

/** Tells what the agents of `examples/dependency-team` do: which tools they call, what they find, and what of the budget is spent. */
export function createProgress(server: Server, run: string, subject: string): (event: EventAnswer) => Promise<void> {
  const calls = new Map<string, AskedCall>();
  const print = (line: string) => console.log(`    ${line}`);

  /** What a turn asks for, under the path of each call. */
  function noteCalls(turn: string, output: unknown): void {
    const { calls: asked = [] } = (output ?? {}) as { calls?: AskedCall[] };
    for (const [index, call] of asked.entries()) calls.set(`${turn}.act[${index}]`, call);
  }

  async function tellMemories(output: unknown): Promise<void> {
    const { context } = output as { context?: { memories: { given: number } } };
    if (!context) return;
    if (context.memories.given === 0) return print(pc.dim(`remembers no earlier review of ${subject}`));
    const known = `/api/v2/agents/${encodeURIComponent("dependency-team/report")}/memories?subject=${encodeURIComponent(subject)}&limit=1`;
    const { data } = await ask<{ data: { text: string }[] }>(server, known);
    print(`remembers ${counted(context.memories.given, "earlier review")}: ${pc.dim(shorten(data[0]?.text ?? ""))}`);
  }

  async function tellBudget(): Promise<void> {
    const [{ budgets }, { tree }] = await Promise.all([
      ask<{ budgets: Budget[] }>(server, `/api/v2/runs/${run}/budget`),
      ask<{ tree: { costUsd: number | null } }>(server, `/api/v2/runs/${run}/usage`),
    ]);
    const [budget] = budgets;
    if (!budget) return;
    const { modelCalls, toolCalls, tokens } = budget;
    const parts = [ofMax(modelCalls, "model calls"), ofMax(toolCalls, "tool calls"), ofMax(tokens, "tokens"), costOf(tree.costUsd)];
    print(pc.dim(`spent so far: ${parts.join(", ")}`));
  }

  return async ({ type, step, data }) => {
    if (step === null) return;
    const [, place = step, part] = /^(.*)\.(brief|think|approve|call)$/.exec(step) ?? [];
    const output = data["output"];
    const isAgent = data["type"] === "agent";
    if (type === "step.started" && isAgent) console.log(`  ${pc.bold(step)}`);
    else if (type === "step.retrying" || type === "step.parked") print(`${pc.yellow("!")} ${detailOf(data["error"])}`);
    else if (type === "approval.requested") print(`${pc.yellow("?")} may it call ${textOf(calls.get(place))}`);
    else if (type === "step.failed" && (isAgent || part === "call")) print(`${pc.red("✗")} ${detailOf(data["error"])}`);
    else if (type !== "step.completed") return;
    else if (part === "brief") await tellMemories(output);
    else if (part === "think") noteCalls(place, output);
    else if (part === "call") print(`${pc.green("→")} ${told(calls.get(place))}  ${pc.dim(timeOf(data["durationMs"]))}`);
    else if (isAgent) {
      for (const [name, value] of Object.entries(output as object)) print(`${pc.green("=")} ${name}: ${shorten(String(value))}`);
      await tellBudget();
    }
  };
}

interface AskedCall {
  name: string;
  tool?: string;
  server?: string;
  arguments?: unknown;
  /** A person is asked about it. */
  asks?: boolean;
}

interface Budget {
  tokens: Amount;
  modelCalls: Amount;
  toolCalls: Amount;
}

interface Amount {
  spent: number;
  max: number | null;
}

const textOf = (call: AskedCall | undefined): string => `${nameOf(call)} ${pc.dim(shorten(JSON.stringify(call?.arguments ?? {})))}`;

/** What a person was asked about stands there already. */
const told = (call: AskedCall | undefined): string => (call?.asks ? nameOf(call) : textOf(call));

const nameOf = (call: AskedCall | undefined): string =>
  pc.bold(call?.server === undefined ? (call?.tool ?? call?.name ?? "a tool") : `${call.server}/${call.tool}`);

const ofMax = ({ spent, max }: Amount, unit: string): string => `${number(spent)}${max === null ? "" : ` of ${number(max)}`} ${unit}`;

export const costOf = (usd: number | null): string =>
  usd === null ? "at an unknown price" : `$${usd.toFixed(usd > 0 && usd < 0.01 ? 4 : 2)}`;

export const counted = (count: number, unit: string): string => `${number(count)} ${unit}${count === 1 ? "" : "s"}`;

export const timeOf = (ms: unknown): string =>
  typeof ms !== "number" ? "" : ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;

const number = (value: number): string => value.toLocaleString("en");

const shorten = (text: string): string => (text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text);

const WIDTH = 150;

const detailOf = (error: unknown): string => {
  const { detail, code } = (error ?? {}) as { detail?: string; code?: string };
  return pc.red(`${detail ?? "failed"}${code === undefined ? "" : ` [${code}]`}`);
};
