import { ownerOf } from "../contracts/agent-task.ts";
import { Fault } from "../contracts/faults.ts";
import { lockWorkflowId } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import type { Lock, Step } from "../language/plan.ts";
import type { Here } from "./context.ts";
import type { Frame } from "./frame.ts";
import type { LockRequest } from "./port.ts";
import type { Scope } from "./scope.ts";
import { sha256 } from "../contracts/sha256.ts";
import type { Walk } from "./walk.ts";

/** Do a step's work while it holds its lock. Whoever is cancelled, waiting or at work, gives its place back. */
export async function withLock<T>(walk: Walk, here: Here<Step> & { lock: Lock }, work: () => Promise<T>): Promise<T> {
  const { lock, path, attempt, context } = here;
  // Noted: it may be made of variables, which change while the step runs, and the run may go on elsewhere.
  const { lock: noted, isHeld } = notedAt(walk, path);
  const key = noted ?? keyOfStep(walk, here, await walk.value(lock.key, context.frame));
  refuseHeldAround(walk, path, key);
  walk.ledger.note(path, { lock: key });
  const request: LockRequest = { kind: "step", key, ticket: `${path}#${attempt}`, limit: lock.limit, onLimit: "queue", path };
  const turn = (): Promise<void> => walk.inspector.waiting(path, `lock ${key}`, () => walk.port.turn(request, context.scope));
  try {
    if (!isHeld && !(await acquire(walk, request, context.scope))) await turn();
    // The turn may come while the run is paused: then nothing begins yet.
    if (!isHeld && walk.pause.isPaused) await walk.pause.over(context.scope);
    walk.ledger.note(path, { isHeld: true });
    walk.lockedPaths.set(path, key);
    return await work();
  } finally {
    walk.lockedPaths.delete(path);
    await release(walk, request);
  }
}

/** Do the run's work while it holds its place under the definition's concurrency key. */
export async function withConcurrency<T>(walk: Walk, { frame, scope }: { frame: Frame; scope: Scope }, work: () => Promise<T>): Promise<T> {
  const { concurrency } = walk.options.plan;
  // A part of a run has its parent's place.
  if (walk.options.part) return work();
  const { lock: noted, isHeld } = notedAt(walk, PLACE);
  // Under another plan, which the run may have taken since, it keeps what it has asked for.
  if (!concurrency && noted === undefined) return work();
  const { limit = 1, onLimit = "queue" } = concurrency ?? {};
  const key = noted ?? keyOf(walk, await walk.value(concurrency!.key, frame), { kind: "run", field: "`concurrency.key`" });
  walk.ledger.note(PLACE, { lock: key });
  const request: LockRequest = { kind: "run", key, ticket: "run", limit, onLimit, path: "run" };
  try {
    if (!isHeld && !(await acquire(walk, request, scope))) await queued(walk, request, scope);
    walk.ledger.note(PLACE, { isHeld: true });
    return await work();
  } finally {
    await release(walk, request);
  }
}

/** Where a run notes its place; no step's path looks like this. */
const PLACE = "(concurrency)";

/** What an execution before this one has asked for. What another run has asked for, whose ledger this one took over, is not ours. */
const notedAt = (walk: Walk, path: string): { lock?: string; isHeld?: boolean } => (walk.isContinued && walk.ledger.place(path)) || {};

const acquire = (walk: Walk, request: LockRequest, scope: Scope): Promise<boolean> =>
  walk.outside(() => walk.inspector.busy(() => walk.port.acquire(request, scope)));

const release = (walk: Walk, request: LockRequest): Promise<void> => walk.outside(() => walk.port.release(request));

async function queued(walk: Walk, request: LockRequest, scope: Scope): Promise<void> {
  walk.isQueued = true;
  try {
    await walk.inspector.waiting(request.path, `concurrency key ${request.key}`, () => walk.port.turn(request, scope));
  } finally {
    walk.isQueued = false;
  }
}

/** Of a thread and whose it is; a hash where these are too long for a name. */
function keyOfStep(walk: Walk, { lock: { thread }, path }: Here<Step> & { lock: Lock }, value: Json): string {
  const { run, plan } = walk.options;
  if (!thread) return keyOf(walk, value, { kind: "step", field: `\`lock.key\` of ${path}` });
  const named = `${ownerOf(thread.agent, plan.name, path)} ${textOf(value, `\`thread\` of ${path}`)}`;
  const key = `thread ${named}`;
  return lockWorkflowId(run.tenant, "step", key) === undefined ? `thread ${sha256(named)}` : key;
}

function keyOf(walk: Walk, value: Json, { kind, field }: { kind: LockRequest["kind"]; field: string }): string {
  const key = textOf(value, field);
  if (lockWorkflowId(walk.options.run.tenant, kind, key) === undefined)
    throw new Fault("expression", `${field} is empty or too long for a name; it is ${JSON.stringify(key.slice(0, 200))}.`);
  return key;
}

function textOf(value: Json, field: string): string {
  const text = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
  if (typeof text === "string") return text;
  throw new Fault("expression", `${field} must be text; it is ${JSON.stringify(value)}.`);
}

// It would wait for itself, for ever.
function refuseHeldAround(walk: Walk, path: string, key: string): void {
  for (const [outer, held] of walk.lockedPaths)
    if (held === key && (path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`)))
      throw new Fault("lock", `${path} asks for lock ${key}, which ${outer} around it holds; take it once, outside.`, { instance: path });
}
