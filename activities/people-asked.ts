import { ApplicationFailure } from "@temporalio/activity";
import type { Activities } from "../contracts/activities.ts";
import { terminalStatuses, type EventType } from "../contracts/events.ts";
import { Prisma, type Database } from "../prisma/client.ts";

/**
 * How long people were asked in the runs that an agent's task has started, and in those below them. While somebody is asked it fails:
 * between two attempts nothing of ours is held.
 */
export function createPeopleAsked(database: Database): Activities["peopleAsked"] {
  return async (call) => {
    const times = askedTimes(await wordsBelow(database, call), call.since);
    if (times.some(({ to }) => to === undefined))
      throw ApplicationFailure.create({ type: "people_asked", message: `Below ${call.path} somebody is asked.`, category: "BENIGN" });
    return times.reduce((sum, { from, to }) => sum + to! - from, 0);
  };
}

/** What a run has told of its questions, in its order. */
export interface Word {
  run: string;
  step: string | null;
  type: EventType;
  time: Date;
}

interface Asked {
  from: number;
  /** Absent: still. */
  to?: number;
}

const opening: ReadonlySet<EventType> = new Set(["approval.requested", "step.parked"]);
const closing = [
  "approval.decided",
  "approval.expired",
  "step.attended",
  "step.canceled",
  "step.failed",
  "step.retrying",
] as const satisfies EventType[];
const ending = terminalStatuses.map((status) => `run.${status}` as const) satisfies EventType[];

const wordsBelow = (database: Database, { tenant, run, path }: Parameters<Activities["peopleAsked"]>[0]): Promise<Word[]> =>
  database.$queryRaw<Word[]>`
    WITH RECURSIVE below(id) AS (
      SELECT data->>'runId' FROM events
      WHERE run_id = ${run} AND tenant = ${tenant} AND type = 'child.started' AND starts_with(step, ${`${path}[`})
      UNION
      SELECT runs.id FROM runs JOIN below ON runs.parent_id = below.id
    )
    SELECT run_id AS run, step, type, time FROM events JOIN below ON run_id = below.id
    WHERE type IN (${Prisma.join([...opening, ...closing, ...ending])}) OR (type = 'step.completed' AND data->>'type' = 'approval')
    ORDER BY run_id, seq`;

/** The times since then in which at least one question was open, one after the other. */
export function askedTimes(words: readonly Word[], since: number): Asked[] {
  const asked: Asked[] = [];
  const open = new Map<string, Map<string | null, Asked>>();
  for (const { run, step, type, time } of words) {
    const at = Math.max(since, time.getTime());
    const questions = open.get(run) ?? new Map<string | null, Asked>();
    open.set(run, questions);
    if (opening.has(type)) {
      if (questions.has(step)) continue;
      questions.set(step, { from: at });
      asked.push(questions.get(step)!);
    } else
      // What ends a run ends all its questions.
      for (const [name, question] of questions)
        if (step === null || name === step) {
          question.to = at;
          questions.delete(name);
        }
  }
  return together(asked);
}

function together(asked: Asked[]): Asked[] {
  const times: Asked[] = [];
  for (const { from, to } of asked.toSorted((a, b) => a.from - b.from)) {
    const last = times.at(-1);
    if (last?.to === undefined && last) continue;
    if (!last || from > last.to!) times.push({ from, ...(to === undefined ? {} : { to }) });
    else if (to === undefined) delete last.to;
    else last.to = Math.max(last.to!, to);
  }
  return times;
}
