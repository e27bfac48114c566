import { sha256 } from "./sha256.ts";

/** A run's public id: `r_` and 26 characters, or `r_{tenant}_{own id}`; a child run adds its step path. */
export type RunId = string;

export const TENANT_PATTERN = "^[a-z0-9][a-z0-9-]{0,31}$";
export const RUN_ID_PATTERN = "^r_([0-9a-z]{26}|[a-z0-9][a-z0-9-]{0,31}_[A-Za-z0-9][A-Za-z0-9_-]*)(\\.[A-Za-z0-9_.-]+)?$";
/** What a caller may name a run itself: no dot, which begins a child's path, and never the beginning of a whole id. */
export const OWN_RUN_ID_PATTERN = "^(?!r_)[A-Za-z0-9][A-Za-z0-9_-]*$";
/** Not what every JavaScript object has. */
export const STEP_ID_PATTERN = "^(?!(__proto__|constructor|prototype)$)[A-Za-z_][A-Za-z0-9_]*$";

/** Task queues of our own workers. */
export const queues = { runs: "tenuto" } as const;

/** Temporal Schedules of our own. */
export const scheduleIds = { reconcile: "tenuto-reconcile" } as const;

/** The workflow that tells the open runs of a definition, or of a tenant, what holds them. */
export const spreadPauseId = ({ tenant, workflow }: { tenant: string; workflow?: string }): string =>
  ["spread-pause", tenant, ...(workflow === undefined ? [] : [workflow])].join(".");

/**
 * The run that is meant by an id: a caller's own id stands for the run of the tenant that was started under it.
 * Not the own id alone: the tables and the outside know runs of all tenants by their ids.
 */
export const runIdOf = (tenant: string, id: string): RunId => (ownRunIdPattern.test(id) ? `r_${tenant}_${id}` : id);

const ownRunIdPattern = new RegExp(OWN_RUN_ID_PATTERN);

/** `told` names what is told: the same is told once. */
export const noticeWorkflowId = (tenant: string, told: string): string => `notice.${tenant}.${told}`;

/** The Temporal workflow id of a run. Only `[A-Za-z0-9._-]`, which every link and visibility query survives. */
export const workflowIdOf = (tenant: string, run: RunId): string => `run.${tenant}.${run}`;

/** The workflow that delivers what one party sends, in its order. */
export function deliveryWorkflowId(tenant: string, { kind, name }: { kind: string; name: string }): string {
  const slug = escaped(name);
  // No escaped name begins so: there hex follows each `_`.
  return `delivery.${tenant}.${kind}.${slug.length <= SLUG_MAX ? slug : `__${sha256(name)}`}`;
}

/** Of an escaped name: with what stands around it it fits into the 255 characters of an id. */
const SLUG_MAX = 180;

/** An agent's mailbox. */
export const mailboxWorkflowId = (tenant: string, agent: string): string => `agent.${tenant}.${agent}`;

/** Who holds a lock: a step, or a run as a whole. The keys of the two never meet. */
export type LockKind = "step" | "run";

/**
 * The workflow id of a lock. Readable, and no two keys meet: what is not a letter, a digit, `.` or `-` stands as `_` and
 * its UTF-8 in hex. Undefined when the key is empty or too long for an id.
 */
export function lockWorkflowId(tenant: string, kind: LockKind, key: string): string | undefined {
  const slug = escaped(key);
  return slug === "" || slug.length > SLUG_MAX ? undefined : `lock.${tenant}.${kind}.${slug}`;
}

// Half of a surrogate pair has no UTF-8: what an expression gave may hold one.
const escaped = (key: string): string =>
  encodeURIComponent(key.replace(/[\ud800-\udfff]/gu, "\ufffd"))
    .replace(/[_!~*'()]/g, (character) => `%${character.codePointAt(0)!.toString(16)}`)
    .replaceAll("%", "_")
    .replace(/_[0-9A-F]{2}/g, (byte) => byte.toLowerCase());

/** The id of a tenant's schedule in Temporal. */
export const temporalScheduleId = (tenant: string, schedule: string): string => `schedule.${tenant}.${schedule}`;

/** The id of the run that one firing of a schedule starts; `firing` is Temporal's id of the firing's first execution. */
export const firedRunId = (firing: string): RunId => `r_${firing.replaceAll("-", "").slice(0, 26)}`;

/**
 * The id of the run that a step starts: readable in every list, equal in every replay and retry. What is added to the path, a second
 * attempt or a window, begins with `-` and a letter: no id of a step holds that.
 */
export function childRunId(parent: RunId, path: string, uuid: () => string): RunId {
  const id = `${parent}.${slugOf(path)}`;
  // Temporal on SQL stores ids up to 255 characters; a deep path gives way to a random tail.
  return id.length <= 200 ? id : `${parent.split(".", 1)[0]!}.x-${uuid()}`;
}

/** Whether a path is that of a window of a `foreach`: `each[200+]` are its items from the 200th. */
export const isWindow = (path: string): boolean => path.endsWith("+]");

/** Whether a path is that of an item of the list, or lies in one, with a number from `from` to before `end`. */
export function isItemOf(list: string, path: string, { from, end }: { from: number; end: number }): boolean {
  const index = path.startsWith(`${list}[`) ? Number.parseInt(path.slice(list.length + 1), 10) : -1;
  return index >= from && index < end;
}

/**
 * The key all outbound calls of a step carry, equal for all its attempts. After it was undone it is another effect: under the old
 * key the outside would answer with what was taken back.
 */
export const effectKey = (run: RunId, path: string, undone = 0): string => `${run}:${path}${undone === 0 ? "" : `#${undone + 1}`}`;

/** The run that an effect key, and whatever begins with one, is rooted in: ids of runs hold no colon. */
export const rootOfKey = (key: string): RunId => key.slice(0, key.indexOf(":"));

/** Of a call in Temporal, and of its step beside others that were made as one. */
export const activityId = (path: string, attempt: number): string => (attempt === 1 ? path : `${path}#${attempt}`);

/** The root of a child run's budgets: by the step that starts it, so that those of its attempts, of retries and of forks are the same. */
export const budgetRootOfChild = (parentRoot: string, path: string): string => `${parentRoot}.${slugOf(path)}`;

export const approvalIdOf = (run: RunId, path: string): string => `${run}~${slugOf(path)}`;

// Brackets break links; step ids hold no "-", so that no two paths meet.
const slugOf = (path: string): string => path.replace(/\[(\d+)\]/g, "-$1");
