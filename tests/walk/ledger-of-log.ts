import { isObject, type Json } from "../../contracts/json.ts";
import type { Entry } from "../../contracts/activities.ts";
import type { RunEvent } from "../../contracts/events.ts";
import type { Origin } from "../../contracts/messages.ts";
import { keep, type Kept, type LoggedStep, type Question } from "../../language/ledger.ts";
import type { LedgerSeed } from "../../workflows/ledger.ts";
import { planOf } from "./plan-of.ts";

export interface Row extends LoggedStep {
  output: Json;
  error: Json;
  exports: Json;
}

const statuses: Record<string, string> = {
  "step.started": "running",
  "step.completed": "completed",
  "step.failed": "failed",
  "step.skipped": "skipped",
  "step.canceled": "canceled",
};

/** What the record makes of a log: the last word about each step. */
export function rowsOf(log: readonly RunEvent[]): Row[] {
  const rows = new Map<string, Row>();
  for (const { type, step, data } of log) {
    const status = statuses[type];
    if (step === undefined || (status === undefined && (type as string) !== "step.compensated")) continue;
    const before = rows.get(step);
    const isUndone = before?.isUndone === true || (type as string) === "step.compensated";
    const error = data["error"] ?? data["caught"] ?? null;
    // Of a step that was performed in a window the log tells only that it was undone.
    if (status === undefined) rows.set(step, { ...(before ?? undoneElsewhere(step)), isUndone });
    else
      rows.set(step, {
        path: step,
        status,
        isCaught: error !== null,
        isUndone,
        output: data["output"] ?? null,
        error,
        exports: data["exports"] ?? null,
      });
  }
  return [...rows.values()];
}

const undoneElsewhere = (path: string): Row => ({
  path,
  status: "completed",
  isCaught: false,
  isUndone: true,
  output: null,
  error: null,
  exports: null,
});

export interface Continued {
  kept: Kept;
  ledger: LedgerSeed;
}

/** The ledger that a retry or fork of a run with this log begins with. */
export function ledgerOfLog(definition: unknown, log: readonly RunEvent[], origin: Partial<Origin> = {}, before = definition): Continued {
  const plan = planOf(definition);
  return ledgerOfRows(rowsOf(log), {
    plan,
    before: before === definition ? plan : planOf(before),
    origin: { run: "r_origin", kind: "fork", ...origin },
  });
}

export function ledgerOfRows(rows: Row[], question: Omit<Question, "steps">): Continued {
  const { origin } = question;
  const kept = keep({ ...question, steps: rows });
  const byPath = new Map(rows.map((row) => [row.path, row]));
  const entries = kept.entries.map(({ path, step, hasRest }): [string, Entry] => {
    const { status, output, error, exports } = byPath.get(path)!;
    const lacksExports = !isObject(exports) && step.export.length > 0 && status === "completed" && error === null;
    return [
      path,
      {
        status: status as Entry["status"],
        output,
        exports: isObject(exports) ? exports : {},
        ...(isObject(error) ? { error: error as unknown as NonNullable<Entry["error"]> } : {}),
        ...(lacksExports ? { lacksExports: true } : {}),
        ...(hasRest ? { hasRest } : {}),
      },
    ];
  });
  const byHand = Object.entries(origin.steps ?? {}).map(([path, output]): [string, Entry] => [
    path,
    { status: "completed", output, exports: {} },
  ]);
  const over = kept.over.map((slot): [string, Entry] => [slot, { status: "completed", output: null, exports: {} }]);
  return { kept, ledger: { entries: [...entries, ...byHand, ...over], places: [] } };
}
