import { Fault, makeProblem } from "../contracts/faults.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import type { Step } from "../language/plan.ts";
import { answerCall, runAgent, settleBrief, think } from "./agent.ts";
import { ask } from "./ask.ts";
import { callForeign, callHttp, callLlm, callTool } from "./calls.ts";
import { runChild } from "./child.ts";
import { Ended, type Here, type HereOf, type Outcome } from "./context.ts";
import { emit } from "./emit.ts";
import { runForeach, runParallel } from "./fan-out.ts";
import { Frame } from "./frame.ts";
import { handleOrRethrow } from "./handlers.ts";
import { runInside } from "./inside.ts";
import { runLoop } from "./loop.ts";
import { sendMessage } from "./message.ts";
import { Scope } from "./scope.ts";
import { listen, wait } from "./waits.ts";
import type { Walk } from "./walk.ts";

/** What each step type does. A new type is one case here, one in the checker and one in the schema. */
export function perform(walk: Walk, here: Here<Step>): Promise<Outcome> {
  const { step } = here;
  switch (step.type) {
    case "llm":
      return callLlm(walk, { ...here, step });
    case "agent":
      return runAgent(walk, { ...here, step });
    case "brief":
      return settleBrief(walk, { ...here, step });
    case "think":
      return think(walk, { ...here, step });
    case "call":
      return answerCall(walk, { ...here, step });
    case "tool":
      return callTool(walk, { ...here, step });
    case "http":
      return callHttp(walk, { ...here, step });
    case "activity":
      return callForeign(walk, { ...here, step });
    case "set":
      return set(walk, { ...here, step });
    case "sequence":
      return sequence(walk, { ...here, step });
    case "switch":
      return choose(walk, { ...here, step });
    case "parallel":
      return runParallel(walk, { ...here, step });
    case "foreach":
      return runForeach(walk, { ...here, step });
    case "loop":
      return runLoop(walk, { ...here, step });
    case "workflow":
      return runChild(walk, { ...here, step });
    case "wait":
      return wait(walk, { ...here, step });
    case "listen":
      return listen(walk, { ...here, step });
    case "emit":
      return emit(walk, { ...here, step });
    case "message":
      return sendMessage(walk, { ...here, step });
    case "approval":
      return ask(walk, { ...here, step });
    case "try":
      return attempt(walk, { ...here, step });
    case "raise":
      return raise(walk, { ...here, step });
    case "end":
      return end(walk, { ...here, step });
    default:
      return step satisfies never;
  }
}

async function set(walk: Walk, { step, context }: HereOf<"set">): Promise<Outcome> {
  return { output: await walk.value(step.values, context.frame) };
}

async function sequence(walk: Walk, here: HereOf<"sequence">): Promise<Outcome> {
  return { output: await runInside(walk, here, "", here.step.body) };
}

async function choose(walk: Walk, here: HereOf<"switch">): Promise<Outcome> {
  const { step, path, attempt: round, context } = here;
  const noted = walk.ledger.place(path)?.["taken"] as string | null | undefined;
  const name = noted === undefined ? await firstMatch(walk, here) : noted;
  walk.ledger.note(path, { taken: name });
  if (noted === undefined) walk.tell("branch.taken", { path, lane: context.lane, attempt: round }, { branch: name });
  if (name === null) return { output: null };
  const body = step.cases.find((branch) => branch.name === name)?.body ?? step.default!;
  return { output: await runInside(walk, here, `.${name}`, body) };
}

async function firstMatch(walk: Walk, { step, context }: HereOf<"switch">): Promise<string | null> {
  for (const branch of step.cases) if (await walk.condition(branch.when, context.frame)) return branch.name;
  return step.default ? "default" : null;
}

async function attempt(walk: Walk, here: HereOf<"try">): Promise<Outcome> {
  const { step, path, context } = here;
  try {
    return { output: await tried(walk, here) };
  } finally {
    // In a scope of its own: `finally` is where things are put back, also after a cancel, and no cancel cuts it.
    if (step.finally)
      await walk.block(step.finally, { ...context, path: `${path}.finally`, frame: new Frame(context.frame), scope: new Scope() });
  }
}

async function tried(walk: Walk, here: HereOf<"try">): Promise<Json> {
  const { step, path, context } = here;
  const noted = walk.ledger.place(path)?.["output"];
  if (noted !== undefined) return noted;
  const output = await triedOnce();
  // What `finally` changes must not change it, should the walk go on elsewhere meanwhile.
  if (step.finally) walk.ledger.note(path, { output });
  return output;

  async function triedOnce(): Promise<Json> {
    try {
      return await runInside(walk, here, "", step.body);
    } catch (error) {
      // Not `inside`: what a handler throws is not taken by the handlers beside it.
      return handleOrRethrow(walk, step, error, { ...context, path });
    }
  }
}

async function raise(walk: Walk, { step, path, context }: HereOf<"raise">): Promise<Outcome> {
  if (!step.error) throw Fault.of(context.handling ?? makeProblem("raised", "`raise` without `error` has nothing to pass on."));
  const error = await walk.value(step.error, context.frame);
  const given = isObject(error) ? error : { detail: error };
  const said = given["detail"] ?? given["title"] ?? "Raised by the definition";
  const detail = typeof said === "string" ? said : JSON.stringify(said);
  throw Fault.of({ ...makeProblem("raised", detail, given as JsonObject), code: "raised", detail, instance: path });
}

async function end(walk: Walk, { step, path, context }: HereOf<"end">): Promise<Outcome> {
  throw new Ended(step.status, step.output === undefined ? null : await walk.shrink(await walk.value(step.output, context.frame), path));
}
