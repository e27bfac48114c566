import {
  CancellationScope,
  continueAsNew,
  defineQuery,
  defineSignal,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  startChild,
  workflowInfo,
} from "@temporalio/workflow";
import {
  mailboxQuery,
  messageSignals,
  nameOf,
  type Answer,
  type Mail,
  type MailboxArguments,
  type MailboxState,
  type OpenedMail,
} from "../contracts/agent-messages.ts";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { Fault } from "../contracts/faults.ts";
import { queues, workflowIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes, type RunArguments } from "../contracts/messages.ts";
import type { RunResult } from "../contracts/run-end.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import { faultOfChild } from "./failures.ts";
import { MailLine } from "./mail-line.ts";
import { quick } from "./quick.ts";
import { condition } from "./quiet.ts";
import { summaryText } from "./summary.ts";
import { laterEnd } from "./temporal-child.ts";

/**
 * The mailbox of one agent: each message that comes is answered by a run of its own, those of one sender one after the other.
 * Lives as long as the agent has messages, and waits for the next ones.
 */
export async function mailbox(args: MailboxArguments): Promise<void> {
  const entity = new Mailbox(args);
  await CancellationScope.nonCancellable(() => entity.serve());
}

// It outlives every build, as a lock does.
if (globalThis.workerHasBuild) setWorkflowOptions({ versioningBehavior: "AUTO_UPGRADE" }, mailbox);

class Mailbox {
  readonly #args: MailboxArguments;
  readonly #line: MailLine;
  #signals = 0;
  /** What came before it knew what there is. */
  #early: Mail[] | undefined = [];

  constructor(args: MailboxArguments) {
    this.#args = args;
    this.#line = new MailLine(args.state);
    setHandler(defineSignal<[Mail[]]>(messageSignals.receive), (mails) => {
      this.#signals += 1;
      if (this.#early) this.#early.push(...mails);
      else this.#receive(mails);
    });
    setHandler(defineQuery<MailboxState>(mailboxQuery), () => this.#line.state);
  }

  /** What is at work is begun again by the next execution, and found to be under way. */
  async serve(): Promise<never> {
    await this.#remember();
    await condition(() => this.#signals >= limits.mailboxSignalsMax || workflowInfo().continueAsNewSuggested);
    return continueAsNew<typeof mailbox>({ ...this.#args, state: this.#line.state });
  }

  /** One that takes the place of a mailbox that somebody has terminated asks what that had in hand: it goes before what comes now. */
  async #remember(): Promise<void> {
    const { tenant, agent, state } = this.#args;
    if (!state) this.#line.receive(await quick("unfinishedMail", [{ tenant, agent }], "what an earlier mailbox has left"));
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#receive(early);
  }

  #receive(mails: readonly Mail[]): void {
    this.#line.receive(mails);
    this.#begin();
  }

  #begin(): void {
    for (const mail of this.#line.take()) void this.#work(mail);
    this.#show();
  }

  async #work(mail: Mail): Promise<void> {
    await this.#answer(mail);
    this.#line.done(mail);
    this.#begin();
  }

  async #answer(mail: Mail): Promise<void> {
    const { tenant, agent } = this.#args;
    const summary = summaryText(`${mail.type} from ${nameOf(mail.sender)}`);
    const opened = await quick("openMail", [{ tenant, agent, mail }], summary);
    if (opened) await quick("answerMail", [{ tenant, agent, mail, answer: await this.#run(opened, summary) }], summary);
  }

  async #run(opened: OpenedMail, summary: string): Promise<Answer> {
    try {
      const { output } = await this.#end(opened, summary);
      return { output };
    } catch (error) {
      const fault = faultOfChild(error, { id: opened.id, path: "answer" });
      if (fault instanceof Fault) return { problem: fault.problem };
      throw error;
    }
  }

  async #end(opened: OpenedMail, summary: string): Promise<RunResult> {
    const { tenant } = this.#args;
    const run: RunArguments = { tenant, engine: ENGINE_VERSION, ...opened };
    try {
      const handle = await startChild(workflowTypes.run, {
        workflowId: workflowIdOf(tenant, opened.id),
        workflowIdReusePolicy: "REJECT_DUPLICATE",
        taskQueue: queues.runs,
        args: [run],
        memo: { startedBy: opened.startedBy },
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: summary,
        typedSearchAttributes: [
          { key: searchAttributes.tenant, value: tenant },
          { key: searchAttributes.workflow, value: opened.workflow },
          { key: searchAttributes.version, value: opened.version },
          { key: searchAttributes.status, value: "running" },
        ],
      });
      return (await handle.result()) as RunResult;
    } catch (error) {
      // An execution before this one has started it.
      if (error instanceof Error && error.name === "WorkflowExecutionAlreadyStartedError") return laterEnd(tenant, opened.id, summary);
      throw error;
    }
  }

  #show(): void {
    const { agent } = this.#args;
    const atWork = this.#line.atWork.map(({ type, sender, message }) => `- \`${type}\` from ${nameOf(sender)}, message \`${message}\``);
    setCurrentDetails([`Mailbox of **${agent}**: ${this.#line.waits} wait.`, "", "At work:", ...atWork].join("\n"));
  }
}
