import { childRunId, isWindow } from "../contracts/ids.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { HereOf, Outcome } from "./context.ts";
import { letPass } from "./end.ts";
import { summaryOf } from "./calls.ts";
import type { ChildRequest, ChildWatch } from "./port.ts";
import { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** A published definition as a step: a run of its own, with its own log, linked both ways. `agent`: whose model has asked for it. */
export async function runChild(walk: Walk, here: HereOf<"workflow">, agent?: string | null): Promise<Outcome> {
  const { step, path, context } = here;
  const known = walk.ledger.place(path)?.["child"] as string | undefined;
  const request: ChildRequest =
    known === undefined
      ? { ...(await openChild(walk, here)), ...(agent ? { agent } : {}) }
      : { ...(await describe(walk, here, known)), input: null, isStarted: true };
  walk.inspector.child(path, request.id, step.type);
  // An abandoned child goes on when this scope is left: its wait ends, it does not.
  const scope = step.parentClosePolicy === "abandon" ? new Scope() : context.scope;
  const output = await walk.inspector.busy(() => {
    const running = follow(walk, request, scope);
    return step.parentClosePolicy === "abandon" ? unlessCanceled(running, context.scope) : running;
  });
  if (step.await) return { output };
  walk.childrenLeft += 1;
  if (step.parentClosePolicy === "cancel") walk.leftChildren.push(request.id);
  return { output: { runId: request.id } };
}

async function openChild(walk: Walk, here: HereOf<"workflow">): Promise<ChildRequest> {
  const { step, path, attempt, context } = here;
  if (walk.options.depth >= limits.childDepthMax)
    throw new Fault("limit", `Sub-workflows may be nested ${limits.childDepthMax} deep; step ${path} would be one more.`);
  if (!step.await && walk.childrenLeft >= limits.childrenLeftMax)
    throw new Fault("limit", `A run may leave ${limits.childrenLeftMax} children to themselves; step ${path} would be one more.`);
  const id = childRunId(walk.options.run.id, attempt === 1 ? path : `${path}-attempt${attempt}`, () => walk.port.uuid());
  const input = await walk.shrink(await walk.value(step.input, context.frame), path);
  walk.tell(
    "child.started",
    { path, lane: context.lane, attempt },
    { type: step.type, runId: id, workflow: step.workflow, parentClosePolicy: step.parentClosePolicy },
  );
  void walk.journal.flush();
  const request = { ...(await describe(walk, here, id)), ...walk.ledger.child(path), input };
  context.scope.throwIfCanceled();
  return request;
}

async function describe(walk: Walk, here: HereOf<"workflow">, id: string): Promise<Omit<ChildRequest, "input">> {
  const { step, path, context } = here;
  return {
    id,
    workflow: step.workflow,
    budgets: context.budgets,
    ...(step.version ? { version: step.version } : {}),
    ...(step.planHash === undefined ? {} : { planHash: step.planHash }),
    path,
    await: step.await,
    // The child shows it as its own, too.
    summary: step.summary ? await summaryOf(walk, here) : `${path} · ${step.workflow}`,
  };
}

/** Until it is started, the run cannot go on in another execution; after that the next one finds it by its id. */
export function follow(walk: Walk, request: ChildRequest, scope: Scope): Promise<Json> {
  const ended: ChildWatch["ended"] = ({ spent, errors }) => {
    walk.spent.add(spent);
    // What a window lets pass, its run does.
    if (isWindow(request.path)) letPass(walk, errors);
  };
  if (request.isStarted)
    return walk.port
      .child(request, scope, { started: () => undefined, ended })
      .finally(() => request.await && walk.cascade.ended(request.id));
  return new Promise((resolve, reject) => {
    void walk.outside(
      () =>
        new Promise<void>((settled) => {
          const word = walk.cascade.word(request.part !== undefined);
          const started = (): void => {
            walk.ledger.note(request.path, { child: request.id });
            walk.cascade.started(request.id, word, request.part !== undefined);
            settled();
          };
          const over = (): void => {
            if (request.await) walk.cascade.ended(request.id);
            settled();
          };
          walk.port
            .child({ ...request, word }, scope, { started, ended })
            .then(resolve, reject)
            .finally(over);
        }),
    );
  });
}

async function unlessCanceled<T>(running: Promise<T>, scope: Scope): Promise<T> {
  return scope.guard<T>((resolve, reject) => {
    running.then(resolve, reject);
    return () => undefined;
  });
}
