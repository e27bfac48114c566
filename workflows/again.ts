import { backOffMs } from "../contracts/back-off.ts";
import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { CallOptions, Step } from "../language/plan.ts";
import type { Here, HereOf } from "./context.ts";
import { Frame } from "./frame.ts";
import type { Walk } from "./walk.ts";

/**
 * Attempts of steps that the walk itself performs again: scopes, children, waits; and of foreign activities whose content may ask
 * for it, whatever they fail with: two who count would make more attempts than there may be. Temporal retries all other calls; their
 * content our worker knows.
 *
 * After an error, what was finished inside the step is kept and only the rest is done again; when the content was not
 * good enough, all of it is.
 */
export function mayRetry(walk: Walk, { step, path, attempt, context }: Here<Step>, problem: Problem): boolean {
  if (!step.retry || (isCall(step) && !(countsAttempts(step) && isOfAttempt(problem)))) return false;
  const { tries: before = 0, totalUntil } = (walk.ledger.place(path) ?? {}) as Tries;
  const tries = before + 1;
  const retryAt = walk.clock.now() + backOffMs(step.retry, tries, spread(`${walk.options.run.id}${path}#${tries}`));
  if (tries >= step.retry.maxAttempts || step.retry.nonRetryable.includes(problem.type)) return false;
  if (totalUntil !== undefined && retryAt > totalUntil) return false;
  walk.tell(
    "step.retrying",
    { path, lane: context.lane, attempt },
    { type: step.type, error: problem as Json, at: new Date(walk.clock.wall(retryAt)).toISOString() },
  );
  if (problem["unwanted"] === true) walk.ledger.forget(path);
  walk.ledger.again(path);
  walk.ledger.note(path, { tries, retryAt, ...(totalUntil === undefined ? {} : { totalUntil }) });
  return true;
}

/** What a step that is tried again notes. */
interface Tries {
  tries?: number;
  retryAt?: number;
  totalUntil?: number;
  timeLimit?: number;
}

export async function untilRetry(walk: Walk, { path, context }: Here<Step>, retryAt: number): Promise<void> {
  const ms = retryAt - walk.clock.now();
  const again = `another attempt at ${new Date(walk.clock.wall(retryAt)).toISOString()}`;
  if (ms > 0) await walk.inspector.waiting(path, again, () => walk.clock.sleep(ms, `${path}: wait before another attempt`, context.scope));
  if (walk.pause.isPaused) await walk.pause.over(context.scope);
}

/** Until when this attempt may take, and how long that is. */
export function timeLimitOf(walk: Walk, { step, path }: Here<Step>): { deadline: number; ms: number } | undefined {
  const { timeLimitMs, totalTimeLimitMs } = step;
  if (timeLimitMs === undefined && totalTimeLimitMs === undefined) return undefined;
  const now = walk.clock.now();
  const place = (walk.ledger.place(path) ?? {}) as Tries;
  const timeLimit = place.timeLimit ?? now + (timeLimitMs ?? totalTimeLimitMs!);
  const totalUntil = place.totalUntil ?? (totalTimeLimitMs === undefined ? timeLimit : now + totalTimeLimitMs);
  walk.ledger.note(path, { timeLimit, ...(totalTimeLimitMs === undefined ? {} : { totalUntil }) });
  const deadline = totalTimeLimitMs === undefined ? timeLimit : Math.min(timeLimit, totalUntil);
  return { deadline, ms: deadline === timeLimit ? (timeLimitMs ?? totalTimeLimitMs!) : totalTimeLimitMs! };
}

/** `retry.while`: an answer came, but its content asks for another attempt. */
export async function checkContent(walk: Walk, { step, path, context }: Here<Step>, output: Json): Promise<void> {
  if (!(await walk.condition(step.retry!.while!, new Frame(context.frame, { output })))) return;
  throw new Fault("tool", `\`retry.while\` still held for the output of ${path}.`, { instance: path, extra: { unwanted: true } });
}

const isCall = (step: Step): boolean => "timeoutMs" in step;

/** The walk counts the attempts of this call. */
const countsAttempts = (step: Step): boolean => step.type === "activity" && step.retry.while !== undefined;

/** What the activity failed with, as far as it lets it be tried again, or what its content asks for. */
const isOfAttempt = ({ code, retryable, unwanted }: Problem): boolean =>
  unwanted === true || (retryable !== false && (code === "activity" || code === "timeout"));

/** One attempt, in what is left of the time for all, where the walk counts them. */
export function optionsOfAttempt(walk: Walk, { step, path }: HereOf<"activity">): CallOptions {
  if (!countsAttempts(step)) return step;
  const now = walk.clock.now();
  const { totalUntil = now + step.totalTimeoutMs } = (walk.ledger.place(path) ?? {}) as Tries;
  walk.ledger.note(path, { totalUntil });
  return { ...step, retry: { ...step.retry, maxAttempts: 1 }, totalTimeoutMs: Math.max(1, totalUntil - now) };
}

/** A number from 0 to 1 (FNV-1a): equal in every replay, different between runs and paths. */
function spread(text: string): number {
  let mixed = 2_166_136_261;
  for (let at = 0; at < text.length; at++) mixed = Math.imul(mixed ^ text.charCodeAt(at), 16_777_619) >>> 0;
  return mixed / 4_294_967_296;
}
