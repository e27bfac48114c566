import { childRunId } from "../contracts/ids.ts";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { HereOf, Outcome } from "./context.ts";
import { summaryOf } from "./calls.ts";
import { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** A published definition as a step: a run of its own, with its own log, linked both ways. */
export async function runChild(walk: Walk, here: HereOf<"workflow">): Promise<Outcome> {
  const { step, path, attempt, context } = here;
  if (walk.options.depth >= limits.childDepthMax)
    throw new Fault("limit", `Sub-workflows may be nested ${limits.childDepthMax} deep; step ${path} would be one more.`);
  if (!step.await && walk.childrenLeft >= limits.childrenLeftMax)
    throw new Fault("limit", `A run may leave ${limits.childrenLeftMax} children to themselves; step ${path} would be one more.`);
  const id = childRunId(walk.options.run.id, attempt === 1 ? path : `${path}_attempt${attempt}`, () => walk.port.uuid());
  const input = await walk.shrink(await walk.value(step.input, context.frame));
  walk.tell(
    "child.started",
    { path, lane: context.lane, attempt },
    { type: step.type, runId: id, workflow: step.workflow, parentClosePolicy: step.parentClosePolicy },
  );
  void walk.journal.flush();
  const summary = await summaryOf(walk, here);
  context.scope.throwIfCanceled();
  const request = {
    id,
    workflow: step.workflow,
    ...(step.version ? { version: step.version } : {}),
    input,
    path,
    await: step.await,
    summary,
  };
  // An abandoned child goes on when this scope is left: its wait ends, it does not.
  const scope = step.parentClosePolicy === "abandon" ? new Scope() : context.scope;
  const running = walk.inspector.busy(() => walk.port.child(request, scope));
  const output = step.parentClosePolicy === "abandon" ? await unlessCanceled(running, context.scope) : await running;
  if (step.await) return { output };
  walk.childrenLeft += 1;
  if (step.parentClosePolicy === "cancel") walk.leftChildren.push(id);
  return { output: { runId: id } };
}

async function unlessCanceled<T>(running: Promise<T>, scope: Scope): Promise<T> {
  return scope.guard<T>((resolve, reject) => {
    running.then(resolve, reject);
    return () => undefined;
  });
}
