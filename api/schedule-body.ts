import type { PutSchedule } from "../contracts/schedule.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { defaults, limits } from "../contracts/limits.ts";
import { cronProblem } from "../language/cron.ts";
import { parseDuration } from "../language/duration.ts";
import { timezoneProblem } from "../language/timezone.ts";
import type { ScheduleTrigger } from "../language/plan.ts";
import { faultOf } from "./problem.ts";

/** What a request says about times, as a definition's trigger would. Fault `schema` with the field that is wrong. */
export function scheduleOf({ cron, every, timezone, startAt, endAt, overlap = "skip", catchUp }: PutSchedule): ScheduleTrigger {
  if ((cron === undefined) === (every === undefined)) throw wrong("/cron", "Give either `cron` or `every`.");
  const problem = cron === undefined ? undefined : cronProblem(cron);
  if (problem !== undefined) throw wrong("/cron", problem);
  const unknown = timezone === undefined ? undefined : timezoneProblem(timezone);
  if (unknown !== undefined) throw wrong("/timezone", unknown);
  if (startAt !== undefined && endAt !== undefined && Date.parse(endAt) <= Date.parse(startAt))
    throw wrong("/endAt", "`endAt` must be after `startAt`.");
  const everyMs = every === undefined ? undefined : duration(every, "/every");
  if (everyMs !== undefined && everyMs < limits.scheduleEveryMinMs)
    throw wrong("/every", `\`every\` must be at least ${limits.scheduleEveryMinMs} ms.`);
  return {
    type: "schedule",
    ...(cron !== undefined && { cron }),
    ...(everyMs !== undefined && { everyMs }),
    ...(timezone !== undefined && { timezone }),
    ...(startAt !== undefined && { startAt }),
    ...(endAt !== undefined && { endAt }),
    overlap,
    catchUpMs: catchUp === undefined ? defaults.scheduleCatchUpMs : duration(catchUp, "/catchUp"),
    input: null,
  };
}

function duration(value: string | number, pointer: string): number {
  try {
    return parseDuration(value);
  } catch (error) {
    throw error instanceof Fault ? wrong(pointer, error.message) : error;
  }
}

const wrong = (pointer: string, message: string): Fault => faultOf("schema", message, [{ pointer, message }]);
