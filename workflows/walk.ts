import { Fault, type Problem } from "../contracts/faults.ts";
import type { EventType, RunStatus } from "../contracts/events.ts";
import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json, type JsonObject } from "../contracts/json.ts";
import type { RunRef, Undo, UndoPage } from "../contracts/activities.ts";
import { effectKey } from "../contracts/ids.ts";
import { referenceHash } from "../contracts/reference.ts";
import type { Origin, RunArguments, RunPart, UnreadEvent } from "../contracts/messages.ts";
import type { RunEnd, Spending } from "../contracts/run-end.ts";
import type { Block, Expression, Plan, Template } from "../language/plan.ts";
import { ReferenceRead } from "../language/expression/evaluate.ts";
import type { Holds } from "../contracts/holds.ts";
import { Approvals } from "./approvals.ts";
import { Attention } from "./attention.ts";
import { runBlock } from "./block.ts";
import { Cascade, type CascadeState } from "./cascade.ts";
import { Clock, type ClockState } from "./clock.ts";
import { Ended, type Context } from "./context.ts";
import { endOfError, endOfOutput } from "./end.ts";
import { Frame, topNames } from "./frame.ts";
import { Inspector, type InspectorRows } from "./inspector.ts";
import { Leaving } from "./leaving.ts";
import { Ledger, takenOver, type LedgerSeed } from "./ledger.ts";
import { Mailbox, type MailboxState } from "./mailbox.ts";
import { Journal, type About, type JournalState, type State } from "./journal.ts";
import { budgetsOfRun } from "./budgets.ts";
import { handleOrRethrow } from "./handlers.ts";
import { withConcurrency } from "./locks.ts";
import { Pause, type PauseState } from "./pause.ts";
import { PlanChanges } from "./plan-changes.ts";
import { Rest } from "./rest.ts";
import { Spent } from "./spent.ts";
import { Scope } from "./scope.ts";
import { Undoing, withUnresolved } from "./undoing.ts";
import type { Port } from "./port.ts";
import { storeInPages } from "./pages.ts";
import { WindowMail, type WindowMailState } from "./window-mail.ts";
import { runPart } from "./windows.ts";

/** What a run is given for as long as it lasts. */
export interface Given extends Pick<RunArguments, "budgets" | "agents"> {
  plan: Plan;
  run: RunRef;
  /** By which rules the run is walked: those of the engine it was started with. */
  engine: number;
  input: Json;
  env: Record<string, string>;
  depth: number;
  /** Root of the idempotency keys: the run's own id, or its origin's in a retry. */
  effectRoot: string;
  /** Root of its budgets' scopes, where it is another: its origin's, also in a fork. */
  budgetRoot?: string;
  /** The run that this one goes on from. */
  origin?: Origin;
  /** This run walks only these items of a `foreach`, for its parent. */
  part?: RunPart;
  /** What holds the run from its start on. */
  holds?: Holds[];
}

/** With what an execution begins. */
export interface WalkOptions extends Given {
  /** Finished steps of the run this one continues. */
  ledger?: LedgerSeed;
  /** Stand in for the Plan's initial variables. */
  vars?: JsonObject;
  /** What is to be undone of the run this one continues. */
  undos?: (Undo | UndoPage)[];
  /** Events that are to be heard again of the run this one continues. */
  events?: UnreadEvent[];
  /** What the execution before this one left: the same run goes on, nothing is told twice. */
  state?: WalkState;
}

/** All that a run is, at a moment when nothing but waits is open: plain JSON. */
export interface WalkState {
  ledger: LedgerSeed;
  vars: JsonObject;
  mailbox: MailboxState;
  closedApprovals: string[];
  undos: (Undo | UndoPage)[];
  journal: JournalState;
  rows: InspectorRows;
  spent?: Spending;
  passedErrors: Problem[];
  leftChildren: string[];
  childrenLeft: number;
  pause: PauseState;
  clock: ClockState;
  cascade: CascadeState;
  windowMail?: WindowMailState;
  canceled?: string;
}

/**
 * One run: a Plan walked step by step, with a ledger of what is finished.
 *
 * Deterministic; everything outside comes through the port. A defect of ours is thrown as it is (the workflow task
 * fails and is retried until the code is mended); every expected end, bad ones too, is a value.
 */
export class Walk {
  readonly options: Given;
  readonly port: Port;
  readonly ledger: Ledger;
  readonly journal: Journal;
  readonly inspector: Inspector;
  readonly spent: Spent;
  readonly mailbox: Mailbox;
  readonly windowMail: WindowMail;
  readonly approvals: Approvals;
  readonly attention: Attention;
  readonly undoing: Undoing;
  readonly leaving: Leaving;
  readonly changes: PlanChanges;
  readonly clock: Clock;
  readonly pause: Pause;
  readonly cascade: Cascade;
  /** Whether an execution before this one began the run. */
  readonly isContinued: boolean;
  /** Steps that hold a lock, with its key. */
  readonly lockedPaths = new Map<string, string>();
  /** No place under the definition's concurrency key yet. */
  isQueued = false;
  /** Errors that `onError: continue` let pass. */
  readonly passedErrors: Problem[];
  /** Children that nobody waits for and that end with this run. */
  readonly leftChildren: string[];
  childrenLeft: number;
  readonly #root = new Scope();
  readonly #top: Frame;
  /** From then on nobody would read a message. */
  isOver = false;
  #vars: JsonObject;
  #isOverLimit = false;

  // What it begins with it keeps only as far as it still needs it.
  constructor({ state, ledger, vars = {}, undos, events, ...options }: WalkOptions, port: Port) {
    this.options = options;
    this.port = port;
    this.isContinued = state !== undefined;
    this.ledger = new Ledger(state?.ledger ?? (ledger && takenOver(ledger)));
    // The log of the run it is part of tells what undoes its items: there no two attempts may be told as one.
    if (options.part && !state) this.ledger.startAfter(options.part.path, options.part.attempt - 1);
    this.journal = new Journal(options.run, port, { ...options.plan, state: state?.journal });
    this.inspector = new Inspector(port, options, state?.rows);
    this.clock = new Clock(port, state?.clock);
    this.pause = new Pause(this, state?.pause ?? { own: [], told: options.holds ?? [] });
    this.spent = new Spent(budgetsOfRun(options), state?.spent);
    this.inspector.heading = () => [...this.pause.lines(), ...this.changes.lines(), ...this.leaving.lines(), ...this.spent.lines()];
    this.cascade = new Cascade(this, state?.cascade);
    this.#vars = state?.vars ?? vars;
    this.passedErrors = state?.passedErrors ?? [];
    this.leftChildren = state?.leftChildren ?? [];
    this.childrenLeft = state?.childrenLeft ?? 0;
    this.#top = new Frame(undefined, { ...topNames(options), vars: this.#vars });
    this.windowMail = new WindowMail(this, state?.windowMail);
    this.mailbox = new Mailbox(this, state?.mailbox, events);
    this.approvals = new Approvals(this, state?.closedApprovals);
    this.attention = new Attention(this);
    this.undoing = new Undoing(this, state?.undos ?? undos);
    this.leaving = new Leaving(this);
    this.changes = new PlanChanges(this);
    if (state?.canceled !== undefined) this.#root.cancel(state.canceled);
  }

  /**
   * Walk to the end; the record knows everything but the end before this resolves. Or, when this execution's history has become
   * long, to a moment at which nothing but waits is open: undefined, and `state()` is what the next execution begins with.
   */
  async run(): Promise<RunEnd | undefined> {
    const { part } = this.options;
    if (!this.isContinued) this.#tellStart();
    // One that is leaving only seems to wait: the next execution goes on at once. One that is over tells its end, and no state after it.
    const isLast = (): boolean => this.leaving.isNear || this.isOver;
    const seen = (): State => (isLast() ? this.journal.told : { status: this.status(), approvals: this.approvals.count });
    const watch = this.journal.watch(seen, this.inspector);
    const end = await Promise.race([this.#reachEnd(), this.leaving.moment()]);
    if (!end) return undefined;
    // Those of a part that ended well its parent takes over.
    if (!part || end.error) await Promise.all(this.leftChildren.map((id) => this.port.cancelChild(id)));
    if (part) await this.windowMail.over();
    this.isOver = true;
    this.changes.drop("The run has come to its end first.");
    await this.journal.drain();
    this.inspector.show(end.result.status, end.error?.detail);
    await this.cascade.release();
    this.journal.close(end.result.status);
    await watch;
    const spent = this.spent.sum;
    return spent ? { ...end, result: { ...end.result, spent } } : end;
  }

  /** Taken in the same moment in which `run` gave undefined. */
  state(): WalkState {
    return this.leaving.travelling({
      ledger: this.ledger.seed(),
      vars: this.#vars,
      mailbox: this.mailbox.state(),
      closedApprovals: this.approvals.state(),
      undos: this.undoing.state(),
      journal: this.journal.state(),
      rows: this.inspector.rows(),
      ...(this.spent.sum ? { spent: this.spent.sum } : {}),
      passedErrors: this.passedErrors,
      leftChildren: this.leftChildren,
      childrenLeft: this.childrenLeft,
      pause: this.pause.state(),
      clock: this.clock.state(),
      cascade: this.cascade.state(),
      windowMail: this.windowMail.state(),
      ...(this.#root.reason === undefined ? {} : { canceled: this.#root.reason }),
    });
  }

  cancel(reason: string): void {
    this.#root.cancel(reason);
  }

  status(): RunStatus {
    if (this.pause.isPaused) return "paused";
    if (this.isQueued) return "queued";
    if (this.attention.isNeeded || this.windowMail.parked.length > 0) return "needs_attention";
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
    const detail = `The run's history has ${events} events in ${bytes} bytes; split the work into sub-workflows.`;
    throw new Fault("limit", [detail, ...this.leaving.lines()].join(" "));
  }

  /** Work that must end before the run can go on elsewhere. */
  outside<T>(work: () => Promise<T>, isLong = false): Promise<T> {
    return this.leaving.outside(work, isLong);
  }

  block(block: Block, context: Context): Promise<Json> {
    return runBlock(this, block, context);
  }

  /** Fill a template; one whose expressions read inside stored values is filled outside, by a local activity. */
  async value(template: Template, frame: Frame): Promise<Json> {
    while (frame.pace.isSpent) await this.outside(() => frame.pace.nextTask(this.port));
    try {
      return frame.fill(template);
    } catch (error) {
      if (!(error instanceof ReferenceRead)) throw error;
      return this.outside(() => this.port.evaluate(template, frame.rootsOf(template), frame.path));
    }
  }

  async condition(expression: Expression, frame: Frame): Promise<boolean> {
    const value = await this.value({ expr: expression }, frame);
    if (typeof value === "boolean") return value;
    throw new Fault("expression", `A condition gave ${JSON.stringify(value)}; it must give true or false.`);
  }

  /** How often what is done at the path has been undone: by itself, or with a step around it, in this run or the one it is part of. */
  timesUndone(path: string): number {
    return this.ledger.timesUndone(path) + (this.options.part?.undone ?? 0);
  }

  /** The key of what a step does on the outside. */
  effectKey(path: string): string {
    return effectKey(this.options.effectRoot, path, this.timesUndone(path));
  }

  /** A value that may leave the workflow: above the inline limit it is stored and travels as a reference. */
  async shrink(value: Json, path: string): Promise<Json> {
    return jsonBytes(value) > limits.inlineBytesMax ? this.outside(() => storeInPages(this.port, value, path)) : value;
  }

  /** A value that the walk itself must look inside, also when it is stored: it is long, or the run has gone on in another execution. */
  async loaded(value: Json, path: string): Promise<Json> {
    return referenceHash(value) === undefined ? value : this.outside(() => this.port.page(value, path));
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
    const { run, input, budgetRoot } = this.options;
    this.tell("run.started", undefined, {
      workflow: run.workflow,
      version: run.version,
      input,
      ...(run.parentId === undefined ? {} : { parentId: run.parentId }),
      ...(budgetRoot === undefined ? {} : { budgetRoot }),
    });
    this.pause.tellStart();
  }

  async #reachEnd(): Promise<RunEnd> {
    try {
      const place = { frame: this.#top, scope: this.#root };
      return endOfOutput(await withConcurrency(this, place, () => this.#body()), this.passedErrors);
    } catch (error) {
      return endOfError(error);
    }
  }

  /**
   * The envelope is a `try` around all steps. What is undone when nothing takes the error is undone before `finally`; when only
   * `finally` fails, after it.
   */
  async #body(): Promise<Json> {
    const { plan } = this.options;
    const around: Context = {
      path: "",
      frame: this.#top,
      scope: this.#root,
      lane: this.journal.root,
      takers: [],
      budgets: budgetsOfRun(this.options),
      exports: {},
      block: plan.body,
      rest: new Rest(this.#root),
    };
    let end: () => Json;
    try {
      const output = await (this.options.part ? runPart(this, this.options.part, around) : this.#tried(around));
      end = () => output;
    } catch (error) {
      const left = await this.#undone(error, around);
      end = () => {
        throw left;
      };
    }
    try {
      if (plan.finally && !this.options.part)
        await this.block(plan.finally, { ...around, frame: new Frame(this.#top), path: "finally", scope: new Scope() });
    } catch (error) {
      throw await this.#undone(error, around);
    }
    // Of a part its parent must find each value, not one reference to all.
    return this.options.part ? end() : this.shrink(end(), "output");
  }

  /**
   * The error with which the run ends, after everything was undone that can be. What a part did is undone by the run it is part of, if at
   * all: whether something takes the error is not known here.
   */
  async #undone(error: unknown, around: Context): Promise<unknown> {
    if (this.options.part || (error instanceof Ended && error.status === "completed")) return error;
    return withUnresolved(error, await this.undoing.undo(around));
  }

  async #tried(around: Context): Promise<Json> {
    const { plan } = this.options;
    const { output: noted } = this.ledger.place(ENVELOPE) ?? {};
    if (noted !== undefined) return noted;
    try {
      await this.#setFirstVariables();
      const takers = [{ catchers: plan.catch, frame: this.#top }];
      const output = await this.block(plan.body, { ...around, frame: new Frame(this.#top), takers });
      if (this.changes.arePending) await this.changes.over(this.#root);
      return this.#note(await this.#checked(output));
    } catch (error) {
      if (this.changes.arePending && error instanceof Fault) await this.changes.over(this.#root);
      return this.#note(await handleOrRethrow(this, plan, error, around));
    }
  }

  /** Also those that a changed plan brings along. */
  async #setFirstVariables(): Promise<void> {
    for (const [name, template] of this.options.plan.vars)
      if (!Object.hasOwn(this.#vars, name))
        this.setVariables({ [name]: await this.shrink(await this.value(template, this.#top), this.#top.path) });
  }

  /** What `finally` changes must not change the output, should the walk go on elsewhere meanwhile. */
  #note(output: Json): Json {
    if (this.options.plan.finally) this.ledger.note(ENVELOPE, { output });
    return output;
  }

  async #checked(output: Json): Promise<Json> {
    const { outputSchema } = this.options.plan;
    const problem = outputSchema && (await this.outside(() => this.port.validate(outputSchema, output, "output")));
    if (problem) throw Fault.of({ ...problem, detail: `The run's output: ${problem.detail}` });
    return output;
  }
}

/** Where the envelope notes what a step would note at its path. */
const ENVELOPE = "";
