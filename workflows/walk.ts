import { Fault, type Problem } from "../contracts/faults.ts";
import { isTerminal, type EventType, type RunStatus } from "../contracts/events.ts";
import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json, type JsonObject } from "../contracts/json.ts";
import type { RunRef } from "../contracts/activities.ts";
import type { Block, Expression, Plan, Template } from "../language/plan.ts";
import { fill, ReferenceRead } from "../language/expression/evaluate.ts";
import { Approvals } from "./approvals.ts";
import { Attention } from "./attention.ts";
import { runBlock } from "./block.ts";
import type { Context } from "./context.ts";
import { endData, endOfError, endOfOutput, type End } from "./end.ts";
import { Frame } from "./frame.ts";
import { Inspector } from "./inspector.ts";
import { Ledger, type LedgerSeed } from "./ledger.ts";
import { Mailbox } from "./mailbox.ts";
import { Journal, type About } from "./journal.ts";
import { handleOrRethrow, mayTake } from "./handlers.ts";
import { Pause } from "./pause.ts";
import { Scope } from "./scope.ts";
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
  ledger?: LedgerSeed;
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
  readonly pause: Pause;
  /** How often a step has ended badly: what it tells next time is another attempt's. */
  readonly badEnds = new Map<string, number>();
  /** Errors that `onError: continue` let pass. */
  readonly passedErrors: Problem[] = [];
  /** Children that nobody waits for and that end with this run. */
  readonly leftChildren: string[] = [];
  childrenLeft = 0;
  readonly #root = new Scope();
  readonly #top: Frame;
  /** Set before the last event is told: from then on nobody would read a message. */
  isOver = false;
  #vars: JsonObject = {};
  #isOverLimit = false;

  constructor(options: WalkOptions, port: Port) {
    this.options = options;
    this.port = port;
    this.ledger = new Ledger(options.ledger);
    this.journal = new Journal(options.run, port);
    this.inspector = new Inspector(port, options.plan);
    this.pause = new Pause(this.journal);
    this.#top = new Frame(undefined, topNames(options));
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
    await this.#tellEnd(end);
    this.journal.close(end.result.status);
    await watch;
    return end;
  }

  cancel(reason: string): void {
    this.#root.cancel(reason);
  }

  status(): RunStatus {
    if (this.pause.isPaused) return "paused";
    if (this.attention.isNeeded) return "needs_attention";
    return this.inspector.isWaiting ? "waiting" : "running";
  }

  /** Every step passes here before it starts. */
  gate(scope: Scope): void {
    scope.throwIfCanceled();
    const { events, bytes } = this.port.history();
    // Once over it, handlers and `finally` still get some room to end well.
    const allowance = this.#isOverLimit ? limits.endingAllowance : 0;
    if (events <= limits.historyEventsMax + allowance && bytes <= limits.historyBytesMax + allowance * 4_096) return;
    this.#isOverLimit = true;
    throw new Fault("limit", `The run's history has ${events} events in ${bytes} bytes; split the work into sub-workflows.`);
  }

  block(block: Block, context: Context): Promise<Json> {
    return runBlock(this, block, context);
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
    return jsonBytes(value) > limits.inlineBytesMax ? this.port.store(value) : value;
  }

  /** Put an event into the run's log; it reaches Postgres with the next append. */
  tell(type: EventType, about: About | undefined, data: JsonObject): void {
    this.journal.tell(type, about, data);
  }

  setVariables(values: JsonObject): void {
    // A new object each time: whoever took `vars` as a value keeps what it was.
    this.#vars = { ...this.#vars, ...values };
    this.#top.setName("vars", this.#vars);
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
      return endOfOutput(await this.shrink(await this.#body()), this.passedErrors);
    } catch (error) {
      return endOfError(error);
    }
  }

  /** The envelope is a `try` around all steps. */
  async #body(): Promise<Json> {
    const { plan } = this.options;
    const around: Context = { path: "", frame: this.#top, scope: this.#root, lane: this.journal.root, takes: () => false, exports: {} };
    const inner = (more: Partial<Context>): Context => ({ ...around, frame: new Frame(this.#top), ...more });
    try {
      for (const [name, template] of plan.vars) this.setVariables({ [name]: await this.value(template, this.#top) });
      return await this.#checked(await this.block(plan.body, inner({ takes: (problem) => mayTake(plan.catch, problem, this.#top) })));
    } catch (error) {
      return await handleOrRethrow(this, plan.catch, error, around);
    } finally {
      if (plan.finally) await this.block(plan.finally, inner({ path: "finally", scope: new Scope() }));
    }
  }

  async #checked(output: Json): Promise<Json> {
    const { outputSchema } = this.options.plan;
    const problem = outputSchema && (await this.port.validate(outputSchema, output));
    if (problem) throw Fault.of({ ...problem, detail: `The run's output: ${problem.detail}` });
    return output;
  }

  async #tellEnd(reached: End): Promise<void> {
    const { status } = reached.result;
    this.isOver = true;
    this.tell(`run.${status}`, undefined, endData(reached));
    const recorded = await this.journal.drain();
    // When somebody closed the run's row first (reconcile, after a termination), theirs stands.
    this.inspector.show(recorded !== undefined && isTerminal(recorded) ? recorded : status);
  }
}

function topNames({ run, input, env }: WalkOptions): JsonObject {
  const { id, workflow, version, parentId = null, startedAt } = run;
  return { input, env, vars: {}, run: { id, workflow, version, parentId, startedAt: new Date(startedAt).toISOString() } };
}
