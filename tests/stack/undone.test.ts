import { describe, expect, test } from "@jest/globals";
import { admin, host, Place, type Page, type RunBody } from "./client.ts";
import { begun, broken, call, failed } from "./going-on.ts";

const often = { retry: { maxAttempts: 5, initialInterval: "100ms" } };

/** What windows did, undone and done again, as a server sees it that honours `Idempotency-Key`. */
class Bank {
  readonly paid = new Place();
  readonly refunded = new Place();
  // Tried again when their worker is killed: of a refund that fails nobody knows whether it was made.
  readonly pay = call("pay", this.paid, { ...often, compensate: [call("refund", this.refunded, often)] });

  /** Rounds by path: "" for the first, "#2" for the second. */
  async rounds(place: Place): Promise<Map<string, Set<string>>> {
    const rounds = new Map<string, Set<string>>();
    for (const { headers } of await place.calls()) {
      const [, path, round] = /:(.*?\.pay)(?:\.compensate\.refund)?(#\d+)?$/.exec(headers["idempotency-key"]!)!;
      rounds.set(path!, (rounds.get(path!) ?? new Set()).add(round ?? ""));
    }
    return rounds;
  }

  /** Paths at which not exactly one payment stands, the last; or, when none shall stand, any. What nobody knows of may be refunded too. */
  async wrong(stands: boolean): Promise<string[]> {
    const [paid, refunded] = [await this.rounds(this.paid), await this.rounds(this.refunded)];
    return [...paid].flatMap(([path, keys]) => {
      const standing = [...keys].filter((round) => !refunded.get(path)?.has(round));
      const expected = stands ? [[...keys].toSorted().at(-1)!] : [];
      return JSON.stringify(standing) === JSON.stringify(expected)
        ? []
        : [`${path}: paid ${[...keys].join()}, standing ${standing.join()}`];
    });
  }
}

async function restartWorker(): Promise<void> {
  await host.kill("worker");
  await host.start("worker");
}

const again = { retry: { maxAttempts: 4, initialInterval: "100ms", jitter: 0 } };
const undoing = (steps: object[]) => ({
  id: "t",
  type: "try",
  undo: true,
  ...again,
  steps,
  catch: [{ steps: [{ id: "no", type: "raise" }] }],
});
const each = (steps: object[], more: object = {}) => ({
  id: "each",
  type: "foreach",
  items: "${input.items}",
  concurrency: 40,
  steps,
  ...more,
});
const isolated = { isolate: true, concurrency: 3 };
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe("items of windows", () => {
  test("that a `try` has undone are paid once in the end, also when the worker is killed meanwhile", async () => {
    const [bank, may] = [new Bank(), new Place()];
    await may.script(broken);
    const items = each([bank.pay, call("may", may, { if: "${index == 505}" })]);
    const run = await admin.begin({ steps: [undoing([items])] }, { items: numbers(510) });
    await bank.refunded.calls(20);
    const paidFirst = (await bank.paid.calls()).length;
    await restartWorker();
    // Nearly all of them first: each wait has a minute.
    await bank.refunded.calls(paidFirst - 40);
    await may.calls(2);
    expect(await run.end()).toMatchObject({ status: "completed" });
    expect(await bank.wrong(true)).toEqual([]);
    const paid = await bank.rounds(bank.paid);
    expect([paid.size, paid.get("t.each[505].pay")]).toEqual([510, new Set(["", "#2"])]);
  }, 180_000);

  test("that a `try` has undone twice are paid once in the end, in run after run and with a new worker each time", async () => {
    const [bank, may] = [new Bank(), new Place()];
    await may.script(broken, broken);
    const items = each([bank.pay, call("may", may, { if: "${index == 5}" })], isolated);
    const run = admin.run(await host.startContinuing(await admin.publish({ steps: [undoing([items])] }), { items: numbers(8) }, 1));
    for (const [place, calls] of [
      [bank.refunded, 3],
      [may, 2],
    ] as const) {
      await place.calls(calls);
      await restartWorker();
    }
    await may.calls(3);
    expect(await run.end()).toMatchObject({ status: "completed" });
    expect(await bank.wrong(true)).toEqual([]);
    expect((await bank.rounds(bank.paid)).get("t.each[0].pay")).toEqual(new Set(["", "#2", "#3"]));
  }, 180_000);

  test("are kept when the `foreach` is tried again, in run after run", async () => {
    const [bank, may] = [new Bank(), new Place()];
    await may.script({ status: 200 }, broken, broken, broken);
    const workflow = await admin.publish({ steps: [each([bank.pay, call("may", may)], { ...isolated, ...again })] });
    const run = admin.run(await host.startContinuing(workflow, { items: numbers(6) }, 1));
    expect(await run.end()).toMatchObject({ status: "completed" });
    expect(await bank.wrong(true)).toEqual([]);
    expect([...(await bank.rounds(bank.paid)).values()].flatMap((rounds) => [...rounds])).toEqual(Array(6).fill(""));
    expect(await host.executions("default", run.id)).toBeGreaterThan(1);
  });

  test("that the run has undone are done again by its retries, each time under another key", async () => {
    const [bank, may] = [new Bank(), new Place()];
    await may.script(broken, broken, broken);
    const items = each([bank.pay, call("may", may, { if: "${index == 2}" })], { ...isolated, concurrency: 1 });
    let run = await failed({ steps: [items] }, { items: numbers(3) });
    for (const _ of [1, 2]) {
      expect(await bank.wrong(false)).toEqual([]);
      run = await begun(run, "retry");
      expect(await run.end()).toMatchObject({ status: "failed" });
    }
    expect(await bank.wrong(false)).toEqual([]);
    expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "completed" });
    expect(await bank.wrong(true)).toEqual([]);
    expect((await bank.rounds(bank.paid)).get("each[0].pay")).toEqual(new Set(["", "#2", "#3", "#4"]));
  });

  test("that the run has undone are done by its fork, under the fork's keys; what stands is not", async () => {
    const [bank, end] = [new Bank(), new Place()];
    await end.script(broken);
    const first = await failed({ steps: [each([bank.pay], isolated), call("end", end)] }, { items: numbers(3) });
    const fork = await begun(first, "fork");
    expect(await fork.end()).toMatchObject({ status: "completed" });
    const keys = (await bank.paid.calls()).map(({ headers }) => headers["idempotency-key"]!).toSorted();
    expect(keys).toEqual([first.id, fork.id].flatMap((root) => numbers(3).map((n) => `${root}:each[${n}].pay`)).toSorted());
    expect(await (await begun(fork, "fork", { from: "end" })).end()).toMatchObject({ status: "completed" });
    expect(await bank.paid.calls()).toHaveLength(6);
  });

  test("of a terminated window stand, and its next attempt keeps them", async () => {
    const [bank, slow] = [new Bank(), new Place()];
    await slow.script({ status: 200, delayMs: 60_000 });
    const run = await admin.begin({ steps: [each([bank.pay, call("slow", slow)], { ...isolated, ...again })] }, { items: [0] });
    await slow.calls(1);
    const { body } = await admin.get<Page<RunBody>>(`/api/v2/runs?parentId=${run.id}`);
    const [window] = body.data;
    await admin.run(window!.id).until("compensation.registered");
    await admin.run(window!.id).terminate();
    expect(await run.end()).toMatchObject({ status: "completed" });
    expect(await bank.paid.calls()).toHaveLength(1);
    expect(await bank.refunded.calls()).toHaveLength(0);
  });

  test("of a terminated window are undone when the run fails, as all others", async () => {
    const [bank, slow] = [new Bank(), new Place()];
    await slow.script({ status: 200, delayMs: 60_000 });
    const run = await admin.begin({ steps: [each([bank.pay, call("slow", slow)], isolated)] }, { items: [0] });
    await slow.calls(1);
    const { body } = await admin.get<Page<RunBody>>(`/api/v2/runs?parentId=${run.id}`);
    await admin.run(body.data[0]!.id).until("compensation.registered");
    await admin.run(body.data[0]!.id).terminate();
    expect(await run.end()).toMatchObject({ status: "failed" });
    expect(await bank.wrong(false)).toEqual([]);
  });

  test("of a run that was terminated stand, and its retry undoes them when it fails", async () => {
    const [bank, slow] = [new Bank(), new Place()];
    await slow.script({ status: 200, delayMs: 60_000 }, broken);
    const first = await admin.begin({ steps: [each([bank.pay], isolated), call("slow", slow)] }, { items: numbers(4) });
    await slow.calls(1);
    await first.terminate();
    await first.end();
    const second = await begun(first, "retry");
    expect(await second.end()).toMatchObject({ status: "failed" });
    expect(await bank.paid.calls()).toHaveLength(4);
    expect(await bank.wrong(false)).toEqual([]);
    const third = await begun(second, "retry");
    expect(await third.end()).toMatchObject({ status: "completed" });
    expect(await bank.wrong(true)).toEqual([]);
  });
});
