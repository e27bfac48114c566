import path from "node:path";
import { faults } from "../contracts/faults.ts";
import { eventTypes, runStatuses, stepStatuses, terminalStatuses } from "../contracts/events.ts";
import { callDefaults, defaults, limits } from "../contracts/limits.ts";
import { problemCodes } from "../contracts/definition.ts";
import { meanings } from "./limit-meanings.ts";
import { queues, scheduleIds } from "../contracts/ids.ts";
import { queries, signals, updates, workflowTypes } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";

export const referenceFile = path.join(path.dirname(import.meta.dirname), "docs/reference.md");

/** `docs/reference.md`: every name and number that people meet, taken from where the code takes it. */
export const referencePage = (): string =>
  [
    "# Reference",
    "",
    "Made from `contracts/` by `npm run generate`; `npm run check` fails when it differs.",
    "",
    ...table(
      "Events of a run",
      ["type", "data"],
      Object.entries(eventTypes).map(([type, data]) => [code(type), data]),
    ),
    ...table(
      "Statuses",
      ["of", "values"],
      [
        ["run", `${runStatuses.map(code).join(" ")}; ended: ${terminalStatuses.map(code).join(" ")}`],
        ["step", stepStatuses.map(code).join(" ")],
      ],
    ),
    ...table(
      "Faults",
      ["code", "HTTP status", "tried again", "title"],
      Object.entries(faults).map(([name, { status, retryable, title }]) => [code(name), String(status), retryable ? "yes" : "no", title]),
    ),
    ...table(
      "Problems of a definition",
      ["code", "meaning"],
      Object.entries(problemCodes).map(([name, meaning]) => [code(name), meaning]),
    ),
    ...table(
      "Limits",
      ["name", "value", "what it bounds, and what happens beyond"],
      Object.entries(limits).map(([name, value]) => [code(name), amount(name, value), meanings[name as keyof typeof limits]]),
    ),
    ...table(
      "Defaults of calls",
      ["step", "attempts", "first wait, factor, longest, jitter", "timeout", "total"],
      Object.entries(callDefaults).map(([type, { retry, timeoutMs, totalTimeoutMs }]) => [
        code(type),
        String(retry.maxAttempts),
        `${span(retry.initialIntervalMs)}, ×${retry.backoff}, ${span(retry.maxIntervalMs)}, ${retry.jitter * 100} %`,
        span(timeoutMs),
        span(totalTimeoutMs),
      ]),
    ),
    ...table(
      "Other defaults",
      ["name", "value"],
      Object.entries(defaults).map(([name, value]) => [code(name), typeof value === "number" ? amount(name, value) : code(value)]),
    ),
    ...table("Ids, queues and names in Temporal", ["what", "form"], names()),
    ...table(
      "Search attributes",
      ["name", "type"],
      Object.values(searchAttributes).map(({ name, type }) => [code(name), type.toLowerCase()]),
    ),
  ].join("\n");

const names = (): string[][] => [
  ["workflow id of a run", "`run.{tenant}.{runId}`"],
  ["workflow id of a pause that is being told", "`spread-pause.{tenant}`, of a workflow with `.{name}`"],
  [
    "run id",
    "`r_` and 26 characters of base 32, from the `Idempotency-Key` when there is one; `r_{tenant}_{id}` with an `id` of the caller's",
  ],
  ["run id of a child", "`{parent}.{step path}`, brackets as `-n`; with a random tail above 200 characters"],
  ["approval id", "`{runId}~{step path}`, brackets as `-n`"],
  ["activity id", "the step path; `{path}#{attempt}` after a person said retry"],
  [
    "idempotency key of a step",
    "`{runId}:{step path}`, and `#2`, `#3` … when the step or a scope around it was undone once, twice …; in a retry with the id of the first run; `~` and a piece of a hash for a tool's call that was made with other arguments before; `:fallbackN`, `:againN` and `:repairN` for a model's further calls",
  ],
  [
    "workflow id of a notice",
    "`notice.{tenant}.{150 characters of the runId}.{hash}`; of a workflow that paused itself `notice.{tenant}.{name}.{time}`",
  ],
  ["workflow id of what finds out what a search means", "`embed.{tenant}.{random}`"],
  ["workflow id of an agent's mailbox", "`agent.{tenant}.{agent}`"],
  [
    "workflow id of a sender's delivery",
    "`delivery.{tenant}.{kind}.{sender}`, of a run with its id; other characters as in a lock's, of a long name `__` and its SHA-256",
  ],
  ["task queue", code(queues.runs)],
  [
    "workflow id of a lock",
    "`lock.{tenant}.step.{key}`; of a concurrency key `lock.{tenant}.run.{key}`; other characters than letters, digits, `.` and `-` as `_` and hex",
  ],
  ["schedule", `${code(scheduleIds.reconcile)}; a tenant's own: \`schedule.{tenant}.{id}\``],
  ["workflow types", Object.values(workflowTypes).map(code).join(" ")],
  ["updates", Object.values(updates).map(code).join(" ")],
  ["signals", Object.values(signals).map(code).join(" ")],
  ["query", Object.values(queries).map(code).join(" ")],
];

function table(title: string, head: string[], rows: string[][]): string[] {
  const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  return [`## ${title}`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""];
}

const code = (text: string): string => `\`${text}\``;

const amount = (name: string, value: number): string =>
  name.endsWith("Ms") ? span(value) : /Bytes/.test(name) ? bytes(value) : value.toLocaleString("en-US");

const bytes = (value: number): string => {
  if (value % 1_048_576 === 0) return `${value / 1_048_576} MiB`;
  return value % 1_024 === 0 ? `${(value / 1_024).toLocaleString("en-US")} KiB` : `${value.toLocaleString("en-US")} bytes`;
};

const span = (ms: number): string => {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  if (ms % 60_000 === 0) return `${ms / 60_000} min`;
  return ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`;
};
