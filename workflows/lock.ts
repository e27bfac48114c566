import {
  CancellationScope,
  continueAsNew,
  defineQuery,
  defineSignal,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  setWorkflowOptions,
  workflowInfo,
} from "@temporalio/workflow";
import type { Activities } from "../contracts/activities.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import {
  lockQuery,
  lockSignals,
  type LockAnswer,
  type LockArguments,
  type LockAsk,
  type LockPlace,
  type LockState,
} from "../contracts/locks.ts";
import { signals } from "../contracts/messages.ts";
import { LockLine, type Word } from "./lock-line.ts";
import { condition } from "./quiet.ts";

/**
 * One lock of a tenant: who holds it, who waits.
 *
 * Runs ask by signal-with-start and are answered by signals, so that both outlive every worker. A holder that ended
 * without giving the lock back is noticed when somebody waits for it. Ends when it has been idle for a while.
 */
export async function lock(args: LockArguments): Promise<void> {
  const entity = new LockEntity(args);
  // A lock has nothing to stop for: only terminating it frees what it guards.
  await CancellationScope.nonCancellable(() => entity.serve());
}

declare global {
  /** Written by workers/bundle.ts. */
  var workerHasBuild: true | undefined;
}

// A lock outlives every build: runs are pinned to the one they began on, it goes on with the newest. From a worker without a
// build Temporal refuses every task that says so.
if (globalThis.workerHasBuild) setWorkflowOptions({ versioningBehavior: "AUTO_UPGRADE" }, lock);

class LockEntity {
  readonly #args: LockArguments;
  readonly #line: LockLine;
  #signals = 0;
  /** Words on their way. */
  #saying = 0;

  constructor(args: LockArguments) {
    this.#args = args;
    this.#line = new LockLine(args.kind === "step" ? `lock ${args.key}` : `concurrency key ${args.key}`, args.state);
    this.#listen(lockSignals.ask, (ask: LockAsk) => this.#line.ask(ask));
    this.#listen(lockSignals.release, (place: LockPlace) => this.#line.release(place));
    this.#listen(lockSignals.ended, ({ runs }: { runs: string[] }) => runs.flatMap((run) => this.#line.forget(run)));
    setHandler(defineQuery<LockState>(lockQuery), () => this.#line.state);
  }

  async serve(): Promise<void> {
    for (;;) {
      const pace = this.#pace();
      const mustAct = (): boolean => this.#line.isDoubted || this.#isWorn || this.#pace() < pace;
      const isCalled = await condition(mustAct, pace, { summary: this.#line.isEmpty ? "idle until then" : "look after the holders" });
      await condition(() => this.#saying === 0);
      if (this.#isWorn) await continueAsNew<typeof lock>({ ...this.#args, state: this.#line.state });
      if (this.#line.isDoubted || !isCalled) await this.#lookAround();
      if (!isCalled && this.#line.isEmpty && this.#saying === 0) return;
    }
  }

  /** How long until the holders are looked at, or, when there are none, until the end. */
  #pace(): number {
    if (this.#line.isWaitedFor) return limits.lockCheckEveryMs;
    return this.#line.isEmpty ? Math.min(limits.lockIdleMs, limits.lockCheckIdleMs) : limits.lockCheckIdleMs;
  }

  get #isWorn(): boolean {
    return this.#saying === 0 && (this.#signals >= limits.lockSignalsMax || workflowInfo().continueAsNewSuggested);
  }

  async #lookAround(): Promise<void> {
    const { holders, line } = this.#line.state;
    const asked = [...line];
    if (holders.length > 0) {
      const runs = [...new Set(holders.map(({ run }) => run))];
      const { endedRuns } = proxyActivities<Activities>({
        startToCloseTimeout: 30_000,
        retry: { initialInterval: 500, maximumInterval: 15_000 },
        summary: "which holders have ended",
      });
      for (const run of await endedRuns({ tenant: this.#args.tenant, runs })) this.#say(this.#line.forget(run));
    }
    this.#say(this.#line.refuse(asked));
  }

  #listen<Message>(name: string, take: (message: Message) => Word[]): void {
    setHandler(defineSignal<[Message]>(name), (message) => {
      this.#signals += 1;
      this.#say(take(message));
    });
  }

  #say(words: Word[]): void {
    for (const word of words) void this.#tell(word);
  }

  async #tell({ to, ...word }: Word): Promise<void> {
    const { tenant, kind, key } = this.#args;
    const run = getExternalWorkflowHandle(workflowIdOf(tenant, to.run));
    this.#saying += 1;
    try {
      if (word.state === "stop") await run.cancel();
      else await run.signal(signals.lockAnswer, { kind, key, ticket: to.ticket, ...word } satisfies LockAnswer);
    } catch {
      // It has ended: nobody is there to hold anything.
      this.#say(this.#line.forget(to.run));
    } finally {
      this.#saying -= 1;
    }
  }
}
