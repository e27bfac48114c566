import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import type { ParkedStep, RunState } from "../contracts/messages.ts";
import type { RunStatus, StepStatus } from "../contracts/events.ts";
import type { Port } from "./port.ts";
import type { WalkOptions } from "./walk.ts";

interface Row {
  type: string;
  status: StepStatus;
  attempt: number;
  startedAt: number;
  endedAt?: number;
  /** Where the Temporal Web UI shows what began with it. */
  page: string;
  /** What guardrails decided. */
  notes?: string[];
}

interface Line {
  text: string;
  bytes: number;
}

/** What does not change while the run is walked. */
type About = Pick<WalkOptions, "plan" | "run" | "origin">;

export type InspectorRows = [path: string, row: Row][];

const open: ReadonlySet<StepStatus> = new Set(["running", "waiting", "needs_attention"]);

/** What people see of a run in the Temporal Web UI: a table of its steps and what it waits for. */
export class Inspector {
  isDirty = true;
  /** Lines of plain text above the table that others write. */
  heading: () => string[] = () => [];
  readonly #rows: Map<string, Row>;
  readonly #waits = new Map<string, string>();
  /** What is shown of rows as long as they do not change: of a large fan-out one does at a time. */
  readonly #lines = new WeakMap<Row, Line>();
  /** Steps at work that are not waits: as long as there is one, the run is running. */
  #busy = 0;
  readonly #port: Port;
  readonly #about: About;

  constructor(port: Port, about: About, rows: InspectorRows = []) {
    this.#port = port;
    this.#about = about;
    this.#rows = new Map(rows);
  }

  rows(): InspectorRows {
    return [...this.#rows];
  }

  /** Nothing of ours is under way that could take events along. */
  get isAtRest(): boolean {
    return this.#busy === 0;
  }

  get isWaiting(): boolean {
    return this.#busy === 0 && this.#waits.size > 0;
  }

  set(path: string, type: string, status: StepStatus, attempt = 1): void {
    this.isDirty = true;
    const now = this.#port.now();
    const row = this.#rows.get(path) ?? { type, status, attempt, startedAt: now, page: this.#port.pageOfNow() };
    const isOpen = open.has(status);
    // What is undone had ended before.
    const endedAt = isOpen ? undefined : status === "compensated" ? (row.endedAt ?? now) : now;
    // Items of a fan-out leave when they are done, or a large one would push everything else out.
    if (!isOpen && itemNumber.test(path)) this.#rows.delete(path);
    else this.#rows.set(path, Object.assign(row, { status, attempt, endedAt }));
    this.#lines.delete(row);
    if (!isOpen) this.#forgetOldest();
  }

  /** The step is a run of its own, which has a page of its own. */
  child(path: string, id: string, type: string): void {
    this.set(path, type, "running", this.#rows.get(path)?.attempt);
    this.#rows.get(path)!.page = this.#port.pageOf(id);
  }

  note(path: string, notes: readonly string[]): void {
    const row = this.#rows.get(path);
    if (!row) return;
    row.notes = [...new Set([...(row.notes ?? []), ...notes])].slice(0, notesShown);
    this.#lines.delete(row);
  }

  /** Of those that have ended, the last are kept. */
  #forgetOldest(): void {
    if (this.#rows.size <= limits.detailsRowsMax) return;
    const ended = [...this.#rows].filter(([, row]) => !open.has(row.status));
    for (const [path] of ended.slice(0, Math.max(0, ended.length - limits.detailsRowsMax))) this.#rows.delete(path);
  }

  async busy<T>(work: () => Promise<T>): Promise<T> {
    this.#busy += 1;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
    }
  }

  async waiting<T>(path: string, what: string, wait: () => Promise<T>): Promise<T> {
    this.#waits.set(path, what);
    this.#changed(path);
    try {
      return await wait();
    } finally {
      this.#waits.delete(path);
      this.#changed(path);
    }
  }

  #changed(path: string): void {
    this.isDirty = true;
    const row = this.#rows.get(path);
    if (row) this.#lines.delete(row);
  }

  waits(): Json[] {
    return [...this.#waits].slice(0, limits.detailsRowsMax).map(([path, what]) => ({ path, for: what }));
  }

  /** A step that stands in a window, and waits there for a person. */
  park({ path, type, for: what }: ParkedStep, window: string): void {
    this.set(path, type, "needs_attention");
    this.#rows.get(path)!.page = this.#port.pageOf(window);
    this.#waits.set(path, what);
    this.#changed(path);
  }

  /** Whatever became of it: its window tells. */
  unpark(path: string): void {
    this.#waits.delete(path);
    this.#rows.delete(path);
    this.isDirty = true;
  }

  /** Steps that have begun and not ended, waits and windows apart. */
  running(): string[] {
    return [...this.#rows]
      .filter(([path, row]) => row.status === "running" && row.type !== "window" && !this.#waits.has(path))
      .map(([path]) => path);
  }

  parked(): string[] {
    return [...this.#rows].filter(([, row]) => row.status === "needs_attention").map(([path]) => path);
  }

  state(status: RunStatus): RunState {
    const steps = [...this.#rows].map(([path, { type, status }]) => ({ path, type, status }));
    return { status, steps, waitingFor: [...this.#waits].map(([path, what]) => ({ path, for: what })) };
  }

  /** Within one moment of what has changed. The open steps and those that ended last come first to their place. */
  show(status: RunStatus, why?: string): void {
    this.isDirty = false;
    const { plan, run } = this.#about;
    const waits = [...this.#waits].slice(0, waitsShown).map(([path, what]) => `${code(path)} waits for ${plain(what)}`);
    const head = [
      `**${plain(plan.title ?? plan.name)}** · ${plain(plan.name)} ${plan.version} · **${status.replaceAll("_", " ")}**`,
      [...(why === undefined ? [] : [plain(why)]), ...this.heading().map(plain), ...waits, ...this.#lineage()]
        .map((line) => `- ${line}`)
        .join("\n"),
      "| step | type | status | attempt | took |\n| --- | --- | --- | --- | --- |",
    ].join("\n\n");
    const foot = `\n\nAll steps with their results: \`GET /api/v2/runs/${run.id}/steps\``;
    const room = limits.detailsBytesMax - jsonBytes(head) - jsonBytes(foot);
    this.#port.show(`${head}\n${this.#table(room).join("\n")}${foot}`);
  }

  #lineage(): string[] {
    const { run, origin } = this.#about;
    const link = (id: string): string => `[${id}](${this.#port.pageOf(id)})`;
    return [
      ...(origin ? [`${origin.kind} of ${link(origin.run)}`] : []),
      run.parentId === undefined ? `started by ${plain(run.startedBy)}` : `child of ${link(run.parentId)}`,
    ];
  }

  /** As many lines as there is room for, in the order in which the steps began. */
  #table(room: number): string[] {
    const rows = [...this.#rows];
    const ranked = [...rows.filter(([, row]) => open.has(row.status)), ...rows.filter(([, row]) => !open.has(row.status)).toReversed()];
    const lines = new Map<string, string>();
    let left = room;
    for (const [path, row] of ranked.slice(0, limits.detailsRowsMax)) {
      const { text, bytes } = this.#line(path, row);
      left -= bytes;
      if (left < 0) break;
      lines.set(path, text);
    }
    return rows.map(([path]) => lines.get(path)).filter((line) => line !== undefined);
  }

  #line(path: string, row: Row): Line {
    const known = this.#lines.get(row);
    if (known) return known;
    const text = this.#textOf(path, row);
    const line = { text, bytes: jsonBytes(text) };
    this.#lines.set(row, line);
    return line;
  }

  #textOf(path: string, { type, status, attempt, startedAt, endedAt, page, notes = [] }: Row): string {
    // An open one is not shown again as time goes by: when it began stays true.
    const took = endedAt === undefined ? `since ${moment(startedAt)}` : duration(endedAt - startedAt);
    const shown = status === "running" && this.#waits.has(path) ? "waiting" : status;
    return `| [${code(path)}](${page}) | ${type} | ${[shown.replaceAll("_", " "), ...notes.map(plain)].join(" · ")} | ${attempt} | ${took} |`;
  }
}

const waitsShown = 20;
const notesShown = 5;

/** The number of an item: such steps come and go by the thousand. */
const itemNumber = /\[\d+\]/;

const code = (path: string): string => `\`${path}\``;

/** What people wrote, as text in one line: it must neither end the table nor pass off a link of its own as ours. */
const plain = (text: string): string =>
  text
    .slice(0, 200)
    .replaceAll(/\s+/g, " ")
    .replaceAll(/[\\`*_[\]<>|~]|:(?=\/\/)/g, "\\$&");

const moment = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;

function duration(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} min ${Math.floor(ms / 1_000) % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
