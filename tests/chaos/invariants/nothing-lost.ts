import { isTerminal } from "../../../contracts/events.ts";
import type { Evidence, Row } from "./evidence.ts";

/**
 * No run is lost and none is there twice: each accepted start has its execution and its row, each execution and row
 * belongs to a start or to a parent, and each row has ended or says what it waits for.
 */
export function nothingLost({ starts, rows, executions }: Evidence): string[] {
  const recorded = new Set(rows.map(({ run }) => run));
  const executed = new Set(executions.map(({ run }) => run));
  const known = new Set([...starts.map(({ run }) => run), ...rows.filter(({ parent }) => parent !== null).map(({ run }) => run)]);
  const lost = starts
    .filter(({ isAccepted }) => isAccepted)
    .flatMap(({ run }) => [
      ...(executed.has(run) ? [] : [`${run} was accepted and Temporal does not know it`]),
      ...(recorded.has(run) ? [] : [`${run} was accepted and has no row`]),
    ]);
  const orphans = [...new Set([...recorded, ...executed])].filter((run) => !known.has(run)).map((run) => `${run} belongs to no start`);
  return [...lost, ...orphans, ...rows.flatMap(unfinished), ...twice(rows)];
}

function unfinished({ run, status, waitingFor }: Row): string[] {
  if (isTerminal(status)) return [];
  const isWaiting = (status === "waiting" || status === "needs_attention") && Array.isArray(waitingFor) && waitingFor.length > 0;
  return isWaiting ? [] : [`${run} is ${status} and does not say what it waits for`];
}

function twice(rows: Row[]): string[] {
  const seen = new Set<string>();
  return rows.filter(({ run }) => seen.size === seen.add(run).size).map(({ run }) => `${run} has two rows`);
}
