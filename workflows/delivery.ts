import {
  CancellationScope,
  continueAsNew,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  workflowInfo,
} from "@temporalio/workflow";
import type { Activities } from "../contracts/activities.ts";
import { messageSignals, nameOf, type DeliveryArguments, type Party, type Wake } from "../contracts/agent-messages.ts";
import { limits } from "../contracts/limits.ts";
import { quick } from "./quick.ts";
import { condition } from "./quiet.ts";
import { summaryText } from "./summary.ts";

/**
 * Delivers what one party sends: to each recipient in the order of sending, to several at the same time. What is to be delivered
 * lies in Postgres: a wake says for whom something waits, and one too many does no harm. Ends when it has been idle for a while.
 */
export async function delivery(args: DeliveryArguments): Promise<void> {
  const entity = new Delivery(args);
  await CancellationScope.nonCancellable(() => entity.serve());
}

// As a lock, it may be older than the build that goes on with it.
if (globalThis.workerHasBuild) setWorkflowOptions({ versioningBehavior: "AUTO_UPGRADE" }, delivery);

interface Lane {
  to: Party;
  isCalled: boolean;
}

class Delivery {
  readonly #args: DeliveryArguments;
  readonly #lanes = new Map<string, Lane>();
  #signals = 0;

  constructor(args: DeliveryArguments) {
    this.#args = args;
    setHandler(defineSignal<[Wake]>(messageSignals.wake), ({ to }) => {
      this.#signals += 1;
      for (const recipient of to) this.#call(recipient);
    });
    for (const recipient of args.lanes ?? []) this.#call(recipient);
  }

  async serve(): Promise<void> {
    for (;;) {
      const isIdle = (): boolean => this.#lanes.size === 0;
      if (isIdle() && !this.#isWorn) {
        const before = this.#signals;
        if (!(await condition(() => this.#signals > before, limits.deliveryIdleMs, { summary: "idle until then" }))) return;
      }
      await condition(() => isIdle() || this.#isWorn);
      if (!this.#isWorn) continue;
      // A lane that waits for another attempt would hold up all others.
      await condition(isIdle, limits.deliveryPassMs, { summary: "the end of what is under way" });
      const lanes = [...this.#lanes.values()].map(({ to }) => to);
      await continueAsNew<typeof delivery>({ tenant: this.#args.tenant, sender: this.#args.sender, lanes });
    }
  }

  get #isWorn(): boolean {
    return this.#signals >= limits.deliverySignalsMax || workflowInfo().continueAsNewSuggested;
  }

  #call(to: Party): void {
    const lane = this.#lanes.get(nameOf(to));
    if (lane) lane.isCalled = true;
    else void this.#serve({ to, isCalled: true });
  }

  async #serve(lane: Lane): Promise<void> {
    this.#lanes.set(nameOf(lane.to), lane);
    this.#show();
    while (lane.isCalled) {
      lane.isCalled = false;
      const { isEmpty } = await this.#pass(lane.to);
      lane.isCalled ||= !isEmpty;
    }
    this.#lanes.delete(nameOf(lane.to));
    this.#show();
  }

  #pass(to: Party): ReturnType<Activities["deliver"]> {
    const { tenant, sender } = this.#args;
    const summary = summaryText(`to ${nameOf(to)}`);
    // Within Temporal it takes milliseconds, and a task less when it is done beside this one; a webhook takes what it takes.
    if (to.kind !== "webhook") return quick("deliver", [{ tenant, sender, to }], summary);
    const { deliver } = proxyActivities<Activities>({
      startToCloseTimeout: "1 minute",
      heartbeatTimeout: limits.deliveryHeartbeatMs,
      retry: { initialInterval: 500, maximumInterval: "15 seconds" },
      summary,
    });
    return deliver({ tenant, sender, to });
  }

  #show(): void {
    const open = [...this.#lanes.keys()].map((name) => `- ${name}`);
    setCurrentDetails([`Messages of **${nameOf(this.#args.sender)}**, under way to:`, "", ...open].join("\n"));
  }
}
