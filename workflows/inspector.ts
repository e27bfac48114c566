import { limits } from "../contracts/limits.ts";
import type { Json } from "../contracts/json.ts";
import type { RunState } from "../contracts/messages.ts";
import type { RunStatus, StepStatus } from "../contracts/events.ts";
import type { Plan } from "../language/plan.ts";
import type { Port } from "./port.ts";

interface Row {
  type: string;
  status: StepStatus;
  attempt: number;
  startedAt: number;
  endedAt?: number;
}

export type InspectorRows = [path: string, row: Row][];

const open: ReadonlySet<StepStatus> = new Set(["running", "waiting", "needs_attention"]);

/** What people see of a run in the Temporal Web UI: a table of its steps and what it waits for. */
export class Inspector {
  isDirty = true;
  /** Lines above the table that others write. */
  heading: () => string[] = () => [];
  readonly #rows: Map<string, Row>;
  readonly #waits = new Map<string, string>();
  /** Steps at work that are not waits: as long as there is one, the run is running. */
  #busy = 0;
  readonly #port: Port;
  readonly #plan: Plan;

  constructor(port: Port, plan: Plan, rows: InspectorRows = []) {
    this.#port = port;
    this.#plan = plan;
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
    const row = this.#rows.get(path);
    const isOpen = open.has(status);
    if (row) Object.assign(row, { status, attempt, ...(isOpen ? {} : { endedAt: now }) });
    else if (this.#rows.size < limits.detailsRowsMax || isOpen)
      this.#rows.set(path, { type, status, attempt, startedAt: now, ...(isOpen ? {} : { endedAt: now }) });
    // Items of a fan-out leave when they are done, or a large one would push everything else out.
    if (!isOpen && path.includes("[")) this.#rows.delete(path);
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
    this.isDirty = true;
    try {
      return await wait();
    } finally {
      this.#waits.delete(path);
      this.isDirty = true;
    }
  }

  waits(): Json[] {
    return [...this.#waits].slice(0, limits.detailsRowsMax).map(([path, what]) => ({ path, for: what }));
  }

  /** Steps that have begun and not ended, waits apart. */
  running(): string[] {
    return [...this.#rows].filter(([path, row]) => row.status === "running" && !this.#waits.has(path)).map(([path]) => path);
  }

  parked(): string[] {
    return [...this.#rows].filter(([, row]) => row.status === "needs_attention").map(([path]) => path);
  }

  state(status: RunStatus): RunState {
    const steps = [...this.#rows].map(([path, { type, status }]) => ({ path, type, status }));
    return { status, steps, waitingFor: [...this.#waits].map(([path, what]) => ({ path, for: what })) };
  }

  show(status: RunStatus): void {
    this.isDirty = false;
    const lines = [
      `**${this.#plan.title ?? this.#plan.name}** ${this.#plan.version} · ${status.replaceAll("_", " ")}`,
      ...this.heading(),
      ...[...this.#waits].slice(0, 20).map(([path, what]) => `- \`${path}\` waits for ${what}`),
      "",
      "| step | type | status | attempts | duration |",
      "| --- | --- | --- | --- | --- |",
      ...[...this.#rows].slice(0, limits.detailsRowsMax).map(([path, row]) => this.#line(path, row)),
    ];
    this.#port.show(lines.join("\n").slice(0, limits.detailsBytesMax));
  }

  #line(path: string, row: Row): string {
    const ms = (row.endedAt ?? this.#port.now()) - row.startedAt;
    const duration = ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`;
    return `| \`${path}\` | ${row.type} | ${row.status.replaceAll("_", " ")} | ${row.attempt} | ${duration} |`;
  }
}
