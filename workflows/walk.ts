import { Fault, makeProblem, type Problem } from "../contracts/faults.ts";
import { isTerminal, type EventType, type RunStatus } from "../contracts/events.ts";
import { limits } from "../contracts/limits.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { RunRef } from "../contracts/activities.ts";
import type { RunResult } from "../contracts/messages.ts";
import type { Block, Expression, Plan, Step, Template } from "../language/plan.ts";
import { fill, ReferenceRead } from "../language/expression/evaluate.ts";
import { Approvals } from "./approvals.ts";
import { Attention } from "./attention.ts";
import { Ended, stepPath, viewOf, type Context, type Entry } from "./context.ts";
import { Frame } from "./frame.ts";
import { Inspector } from "./inspector.ts";
import { Ledger } from "./ledger.ts";
import { Mailbox } from "./mailbox.ts";
import { Journal, type About } from "./journal.ts";
import { Canceled, Scope } from "./scope.ts";
import { runStep } from "./step.ts";
import { handleOrRethrow } from "./handlers.ts";
import type { Port } from "./port.ts";

export interface WalkOptions {
  plan: Plan;
  run: RunRef;
  input: Json;
  env: Record<string, string>;
  depth: number;
  /** Root of the idempotency keys: the run's own id, or its origin's in a retry or fork. */
  effectRoot: string;
  /** Finished steps of the run this one continues. */
  ledger?: Iterable<readonly [path: string, entry: Entry]>;
}

export interface End {
  result: RunResult;
  error?: Problem;
}

/**
 * One run: a Plan walked step by step, with a ledger of what is finished.
 *
 * Deterministic; everything outside comes through the port. A defect of ours is thrown as it is (the workflow task
 * fails and is retried until the code is mended); every expected end, bad ones too, is a value.
 */
export class Walk {
  readonly options: WalkOptions;
  readonly port: Port;
  readonly ledger: Ledger;
  readonly journal: Journal;
  readonly inspector: Inspector;
  readonly mailbox: Mailbox;
  readonly approvals: Approvals;
  readonly attention: Attention;
  /** Errors that `onError: continue` let pass. */
  readonly passedErrors: Problem[] = [];
  /** Children that nobody waits for and that end with this run. */
  readonly leftChildren: string[] = [];
  readonly #root = new Scope();
  readonly #vars: JsonObject = {};
  readonly #resumers = new Set<() => void>();
  #isPaused = false;

  constructor(options: WalkOptions, port: Port) {
    this.options = options;
    this.port = port;
    this.ledger = new Ledger(options.ledger);
    this.journal = new Journal(options.run, port);
    this.inspector = new Inspector(port, options.plan);
    this.mailbox = new Mailbox(this);
    this.approvals = new Approvals(this);
    this.attention = new Attention(this);
  }

  /** Walk to the end. The record knows the end before this resolves. */
  async run(): Promise<End> {
    this.#tellStart();
    const watch = this.journal.watch(() => ({ status: this.status(), approvals: this.approvals.count }), this.inspector);
    const end = await this.#reachEnd();
    await Promise.all(this.leftChildren.map((id) => this.port.cancelChild(id)));
    const settled = await this.#tellEnd(end);
    this.journal.close(settled.result.status);
    await watch;
    return settled;
  }

  cancel(reason: string): void {
    this.#root.cancel(reason);
  }

  /** No step starts until `resume`; what runs already goes on to its end. */
  async pause(by: string): Promise<void> {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.tell("run.paused", undefined, { by });
    await this.journal.drain();
  }

  async resume(by: string): Promise<void> {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.tell("run.resumed", undefined, { by });
    for (const wake of this.#resumers) wake();
    await this.journal.drain();
  }

  status(): RunStatus {
    if (this.#isPaused) return "paused";
    if (this.attention.isNeeded) return "needs_attention";
    return this.inspector.isWaiting ? "waiting" : "running";
  }

  /** Every step passes here before it starts. */
  async gate(scope: Scope): Promise<void> {
    scope.throwIfCanceled();
    while (this.#isPaused) {
      await scope.guard<void>((resolve) => {
        this.#resumers.add(resolve);
        return () => this.#resumers.delete(resolve);
      });
    }
    if (this.port.historyLength() > limits.historyEventsMax)
      throw new Fault("limit", `The run's history has more than ${limits.historyEventsMax} events; split the work into sub-workflows.`);
  }

  /** Run the steps of a block, each when its `needs` have ended. The first error cancels the others, and they are awaited. */
  async block(block: Block, context: Context): Promise<Json> {
    let last: Json = null;
    await context.scope.within(async (scope) => {
      const inner = { ...context, scope };
      const started = new Map<string, Promise<Entry>>();
      const byId = new Map(block.steps.map((step) => [step.id, step]));
      const start = (step: Step): Promise<Entry> => {
        const running =
          started.get(step.id) ?? afterAll(step.needs.map((id) => start(byId.get(id)!))).then(() => this.#settle(step, inner));
        started.set(step.id, running);
        return running;
      };
      const entries = await allOrFirstError(block.steps.map(start), scope);
      last = entries.at(-1)?.output ?? null;
    });
    return block.output === undefined ? last : this.value(block.output, context.frame);
  }

  /** Fill a template; one whose expressions read inside stored values is filled outside, by a local activity. */
  async value(template: Template, frame: Frame): Promise<Json> {
    try {
      return fill(template, frame);
    } catch (error) {
      if (!(error instanceof ReferenceRead)) throw error;
      const { roots, steps } = frame.rootsOf(template);
      return this.port.evaluate(template, roots, steps);
    }
  }

  async condition(expression: Expression, frame: Frame): Promise<boolean> {
    const value = await this.value({ expr: expression }, frame);
    if (typeof value === "boolean") return value;
    throw new Fault("expression", `A condition gave ${JSON.stringify(value)}; it must give true or false.`);
  }

  /** A value that may leave the workflow: above the inline limit it is stored and travels as a reference. */
  async shrink(value: Json): Promise<Json> {
    return JSON.stringify(value).length > limits.inlineBytesMax ? this.port.store(value) : value;
  }

  /** Put an event into the run's log; it reaches Postgres with the next append. */
  tell(type: EventType, about: About | undefined, data: JsonObject): void {
    this.journal.tell(type, about, data);
  }

  setVariables(values: JsonObject): void {
    Object.assign(this.#vars, values);
  }

  async #settle(step: Step, context: Context): Promise<Entry> {
    const path = stepPath(context, step.id);
    const known = this.ledger.get(path);
    const entry = known ?? (await runStep(this, step, path, context));
    if (known) this.inspector.set(path, step.type, "reused");
    else this.ledger.enter(path, entry, context.path);
    this.setVariables(entry.exports);
    Object.assign(context.exports, entry.exports);
    context.frame.setStep(step.id, viewOf(entry));
    return entry;
  }

  #tellStart(): void {
    const { run, input } = this.options;
    this.tell("run.started", undefined, {
      workflow: run.workflow,
      version: run.version,
      input,
      ...(run.parentId === undefined ? {} : { parentId: run.parentId }),
    });
  }

  async #reachEnd(): Promise<End> {
    try {
      const output = await this.#body(this.#top());
      const errors = this.passedErrors;
      if (errors.length > 0) return { result: { status: "completed_with_errors", output, errors } };
      return { result: { status: "completed", output } };
    } catch (error) {
      return endOf(error);
    }
  }

  #top(): Context {
    const { run, input, env } = this.options;
    const frame = new Frame(undefined, {
      input,
      env,
      vars: this.#vars,
      run: {
        id: run.id,
        workflow: run.workflow,
        version: run.version,
        parentId: run.parentId ?? null,
        startedAt: new Date(run.startedAt).toISOString(),
      },
    });
    const lane = this.journal.root;
    return { path: "", frame, scope: this.#root, lane, takes: () => false, exports: {} };
  }

  /** The envelope is a `try` around all steps. */
  async #body(context: Context): Promise<Json> {
    const { plan } = this.options;
    try {
      for (const [name, template] of plan.vars) this.#vars[name] = await this.value(template, context.frame);
      return await this.#checked(await this.block(plan.body, { ...context, frame: new Frame(context.frame) }));
    } catch (error) {
      return await handleOrRethrow(this, plan.catch, error, context);
    } finally {
      if (plan.finally)
        await this.block(plan.finally, { ...context, path: "finally", frame: new Frame(context.frame), scope: new Scope() });
    }
  }

  async #checked(output: Json): Promise<Json> {
    const { outputSchema } = this.options.plan;
    const problem = outputSchema && (await this.port.validate(outputSchema, output));
    if (problem) throw Fault.of({ ...problem, detail: `The run's output: ${problem.detail}` });
    return output;
  }

  async #tellEnd({ result, error }: End): Promise<End> {
    const output = await this.shrink(result.output);
    this.tell(`run.${result.status}`, undefined, endData({ ...result, output }, error));
    this.inspector.end(result.status);
    const recorded = await this.journal.drain();
    // Somebody closed the run's row first (reconcile after a termination): theirs stands.
    if (recorded !== undefined && isTerminal(recorded) && recorded !== result.status) this.inspector.end(recorded);
    return { result: { ...result, output }, ...(error ? { error } : {}) };
  }
}

function endOf(error: unknown): End {
  if (error instanceof Canceled) return { result: { status: "canceled", output: null }, error: makeProblem("canceled", error.message) };
  if (error instanceof Fault) return { result: { status: "failed", output: null }, error: error.problem };
  if (!(error instanceof Ended)) throw error;
  const { status, output } = error;
  if (status === "completed") return { result: { status, output } };
  const problem =
    status === "failed"
      ? makeProblem("raised", "The definition ended the run as failed.")
      : makeProblem("canceled", "The definition ended the run as canceled.");
  return { result: { status, output }, error: problem };
}

function endData(result: RunResult, error: Problem | undefined): JsonObject {
  if (result.status === "canceled") return { reason: error?.detail ?? "", output: result.output };
  if (error) return { error: error as Json, output: result.output };
  return { output: result.output, ...(result.errors ? { errors: result.errors as Json[] } : {}) };
}

async function afterAll(needs: Promise<unknown>[]): Promise<void> {
  // A step without needs must not wait a turn: what starts together is sent together.
  if (needs.length > 0) await Promise.all(needs);
}

/** Wait for all; the first error cancels the scope, the rest is awaited, then it is thrown. */
async function allOrFirstError<T>(running: Promise<T>[], scope: Scope): Promise<T[]> {
  const failures: unknown[] = [];
  const results = await Promise.all(
    running.map((promise) =>
      promise.catch((error: unknown) => {
        failures.push(error);
        scope.cancel("a step beside it ended the scope");
        return undefined;
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
  return results as T[];
}
