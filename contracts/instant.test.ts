import { expect, test } from "@jest/globals";
import { instant } from "./instant.schema.ts";
import { migrateAllSchema } from "./plan-change.schema.ts";
import { backfillSchema, createScheduleSchema, putScheduleSchema } from "./schedule.schema.ts";

const good = "2026-01-31T09:00:00+01:00";

test.each(["0000-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "2026-01-31", "tomorrow"])(
  "%s is no time that every store takes, wherever a request gives it",
  (bad) => {
    const bodies = (at: string): boolean[] => [
      instant.safeParse(at).success,
      migrateAllSchema.safeParse({ to: "2.0.0", startedBefore: at }).success,
      backfillSchema.safeParse({ start: at, end: good }).success,
      backfillSchema.safeParse({ start: good, end: at }).success,
      ...[putScheduleSchema, createScheduleSchema].flatMap((schema) =>
        ["startAt", "endAt"].map((field) => schema.safeParse({ workflow: "w", every: "1h", [field]: at }).success),
      ),
    ];
    expect(new Set(bodies(bad))).toEqual(new Set([false]));
    expect(new Set(bodies(good))).toEqual(new Set([true]));
  },
);
