import { setTimeout as sleep } from "node:timers/promises";
import { isTerminal, type RunStatus } from "../../contracts/events.ts";
import type { Campaign } from "./campaigns.ts";
import { onceOutside } from "./invariants/once-outside.ts";
import { noticedSoon } from "./steps.ts";
import type { Trial } from "./trial.ts";

const runs = 10;

/**
 * kill -9 of the worker between an effect and its acknowledgement, or just before the effect, at an outside that knows no keys. In half
 * of the trials the tool can ask the outside what has happened, in the others people say it; each effect must be there once. Then all are
 * forked from that step: nothing more happens outside.
 */
export const effectKill: Campaign = {
  async act(trial) {
    const { random, stage } = trial;
    const knows = random.oneOf(["tool", "people"] as const);
    const moment = random.oneOf(["after", "after", "before"] as const);
    const tool = knows === "tool" ? "chaos.commitAsked" : "chaos.commit";
    const step = { id: "pay", type: "tool", tool, arguments: { url: trial.url("pay") }, ...noticedSoon };
    const workflow = await trial.publish([step, { id: "then", type: "set", values: "${steps.pay.output.n}" }]);
    const hold = trial.hold(`pay/${moment}`);
    const started = await trial.startMany(runs, workflow);
    await trial.until(`${runs} calls held at pay/${moment}`, () => hold.count() >= runs);
    await stage.parts.kill("worker");
    hold.release();
    await stage.parts.start("worker");
    if (knows === "people") await Promise.all(started.map((run) => answer(trial, run)));
    await Promise.all(started.map((run) => fork(trial, run)));
    return `${runs} effects, killed ${moment} them; ${knows} know; then forked`;
  },
  also: [onceOutside],
};

/** Look outside, as a person would, and say what is there. */
async function answer(trial: Trial, run: string): Promise<void> {
  const { ledger } = trial.stage;
  await hasStatus(trial, run, (status) => status === "needs_attention" || isTerminal(status));
  const n = ledger.calls(`/${trial.id}/pay`).findIndex(({ headers }) => headers["x-run-id"] === run);
  const path = `/api/v2/runs/${run}/steps/pay/${n < 0 ? "retry" : "take"}`;
  const { status, body } = await trial.caller.insist(
    path,
    { method: "POST", key: `${trial.id}-${run}`, body: n < 0 ? {} : { result: { n: n + 1 } } },
    60_000,
  );
  if (status !== 202) throw new Error(`${path} was answered ${status}: ${JSON.stringify(body)}`);
}

async function fork(trial: Trial, run: string): Promise<void> {
  await hasStatus(trial, run, isTerminal);
  await trial.fork(run, { from: "pay" });
}

const hasStatus = (trial: Trial, run: string, isSo: (status: RunStatus) => boolean): Promise<void> =>
  eventually(trial, `${run} to need attention or to end`, async () => {
    const row = await trial.stage.database.run.findUnique({ where: { id: run } });
    return row !== null && isSo(row.status as RunStatus);
  });

async function eventually(trial: Trial, what: string, isSo: () => Promise<boolean>): Promise<void> {
  const patience = Date.now() + 60_000 * trial.options.patience;
  while (!(await isSo())) {
    if (Date.now() > patience) throw new Error(`In vain waited for: ${what}`);
    await sleep(50);
  }
}
