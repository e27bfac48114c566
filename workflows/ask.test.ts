import { describe, expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { hashOf } from "../contracts/sha256.ts";
import type { PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import { tool } from "../tests/walk/steps.ts";
import { payloadHashOf, type Decision } from "./approvals.ts";
import type { Walk } from "./walk.ts";

const ask = (more: object = {}) => ({ id: "ask", type: "approval", title: "Pay?", payload: { eur: 7 }, ...more });
const wait = { id: "wait", type: "wait", duration: "1s" };
const id = (steps: object[]): string => (steps.at(-1) as { id: string }).id;
const person = (name: string, ...roles: string[]) => ({ name, kind: "person" as const, roles });
const by = (name: string, more: Partial<Decision> = {}): Decision => ({ path: "ask", decision: "approve", by: person(name), ...more });
const told = ({ port }: PlainRun, type: string) => port.log.filter((event) => event.type === type);
const data = (run: PlainRun, type: string) => told(run, type).map((event) => event.data);
const hash = (payload: Json, title = "Pay?"): string => payloadHashOf({ title, payload });

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const run = (steps: object[], steer: (walk: Walk, port: PlainPort) => void): Promise<PlainRun> =>
    // The wait is for the answers: who is answered by the last step of a run is answered after its end.
    runPlain(
      { name: "test", version: "1.0.0", steps: [...steps, wait], output: `\${steps.${id(steps)}.output}` },
      { continues, steer, answer: (path) => ({ output: path, afterMs: 50 }) },
    );

  /** Answers one after the other, every 100 ms; gives what came of each. */
  async function answered(steps: object[], ...decisions: Decision[]): Promise<PlainRun & { answers: unknown[] }> {
    const answers: unknown[] = [];
    const ended = await run(steps, (walk, port) => {
      for (const [index, decision] of decisions.entries()) {
        port.at(100 * (index + 1), () => {
          // The update's validator comes before its handler.
          const decide = async () => walk.approvals.decide(decision);
          void decide().then(
            ({ status, votes }) => (answers[index] = `${status} ${votes.length}`),
            (error: { code: string }) => (answers[index] = error.code),
          );
        });
      }
    });
    return { ...ended, answers };
  }

  test("two different persons of three make a quorum of two, and one person counts once", async () => {
    const steps = [ask({ assignees: ["ada", "role:finance", "eve"], quorum: 2 })];
    const ended = await answered(steps, by("ada"), by("ada"), by("bob"), by("eve", { comment: "fine" }));
    expect(ended.answers).toEqual(["pending 1", "approval_voted", "forbidden", "approved 2"]);
    expect(ended.end.result.output).toMatchObject({ decision: "approved", by: "eve", comment: "fine" });
    expect(data(ended, "approval.voted").map((vote) => vote["by"])).toEqual(["ada", "eve"]);
    expect(told(ended, "approval.decided")).toHaveLength(1);
  });

  test("an answer that comes after the time is over is refused, also when several questions end in one moment", async () => {
    const each = { id: "each", type: "foreach", items: "${[1, 2, 3]}", steps: [ask({ expiresAfter: "50ms" })] };
    const ended = await answered([each, { ...wait, id: "longer" }], ...[0, 1, 2].map((index) => by("ada", { path: `each[${index}].ask` })));
    expect(ended.answers).toEqual(["approval_closed", "approval_closed", "approval_closed"]);
  });

  test("without a payload an answer is bound to the title, and who was asked before that may answer", async () => {
    const steps = [ask({ payload: null, quorum: 2 })];
    const another = by("ada", { payloadHash: hash(null, "Pay twice?") });
    const ended = await answered(steps, another, by("ada", { payloadHash: hash(null) }), by("eve", { payloadHash: hashOf(null) }));
    expect(ended.answers).toEqual(["approval_stale", "pending 1", "approved 2"]);
    expect(data(ended, "approval.requested")).toMatchObject([{ payloadHash: hashOf({ payload: null, title: "Pay?" }) }]);
  });

  test("one rejection rejects, whoever approved before", async () => {
    const ended = await answered([ask({ quorum: 3 })], by("ada"), by("bob", { decision: "reject", comment: "no" }));
    expect(ended.answers).toEqual(["pending 1", "rejected 2"]);
    expect(ended.end.result.output).toMatchObject({ decision: "rejected", approved: false, by: "bob", comment: "no" });
  });

  test("an answer is bound to the payload that was seen", async () => {
    const ended = await answered([ask()], by("ada", { payloadHash: hash({ eur: 8 }) }), by("ada", { payloadHash: hash({ eur: 7 }) }));
    expect(ended.answers).toEqual(["approval_stale", "approved 1"]);
    expect(data(ended, "approval.requested")).toMatchObject([{ payloadHash: hash({ eur: 7 }), quorum: 1 }]);
  });

  test("who approves may edit; who approved what was there before must look again", async () => {
    const old = { payloadHash: hash({ eur: 7 }) };
    const ended = await answered(
      [ask({ editable: true, quorum: 2 })],
      by("ada", old),
      by("bob", { ...old, data: { eur: 5 } }),
      by("ada", old),
      by("ada", { payloadHash: hash({ eur: 5 }) }),
    );
    expect(ended.answers).toEqual(["pending 1", "pending 1", "approval_stale", "approved 2"]);
    expect(ended.end.result.output).toMatchObject({ approved: true, by: "ada", data: { eur: 5 } });
    expect(data(ended, "approval.voted")[1]).toMatchObject({ by: "bob", payload: { eur: 5 }, payloadHash: hash({ eur: 5 }) });
  });

  test("what was approved unedited is the payload, what was rejected is not", async () => {
    const approved = await answered([ask({ editable: true })], by("ada"));
    expect(approved.end.result.output).toMatchObject({ data: { eur: 7 } });
    const rejected = await answered([ask({ editable: true })], by("ada", { decision: "reject" }));
    expect(rejected.end.result.output).toMatchObject({ data: null });
  });

  test("people are reminded each time, in time, until it is decided", async () => {
    const ended = await run([tool("first"), ask({ remindAfter: "10s", assignees: ["ada"] })], (walk, port) =>
      port.at(35_000, () => void walk.approvals.decide(by("ada"))),
    );
    const reminders = told(ended, "approval.reminded");
    const asked = told(ended, "approval.requested")[0]!.time;
    expect(reminders.map(({ time }) => time - asked)).toEqual([10_000, 20_000, 30_000]);
    expect(reminders[2]!.data).toMatchObject({ count: 3, assignees: ["ada"] });
  });

  test("after the escalation others may decide too, not before, and once is enough", async () => {
    const answers: string[] = [];
    const steps = [ask({ assignees: ["ada"], escalate: { after: "1m", to: ["role:board"] }, remindAfter: "50s", expiresAfter: "5m" })];
    const boss = { ...by("zoe"), by: person("zoe", "board") };
    const ended = await run(steps, (walk, port) => {
      for (const at of [30_000, 90_000])
        port.at(at, () => {
          const decide = async () => walk.approvals.decide(boss);
          void decide().then(
            () => answers.push("ok"),
            (error: { code: string }) => answers.push(error.code),
          );
        });
    });
    expect(answers).toEqual(["forbidden", "ok"]);
    expect(data(ended, "approval.escalated")).toMatchObject([{ to: ["role:board"], assignees: ["ada", "role:board"] }]);
    expect(ended.end.result.output).toMatchObject({ by: "zoe" });
  });

  test("nobody decides: it expires at its time, and `onExpire` stands in", async () => {
    const steps = [ask({ expiresAfter: "1h", remindAfter: "20m", quorum: 2, onExpire: [{ id: "late", type: "set", values: "late" }] })];
    const ended = await run(steps, (walk, port) => port.at(60_000, () => void walk.approvals.decide(by("ada"))));
    expect(ended.end.result.output).toMatchObject({ decision: "expired", approved: false, by: null, data: "late" });
    expect([told(ended, "approval.reminded").length, told(ended, "approval.decided").length]).toEqual([2, 0]);
    expect(told(ended, "approval.expired").map(({ time }) => time)).toEqual([3_600_000]);
  });

  test("a question asked again is another: an answer to what the one before showed is stale", async () => {
    const loop = { id: "l", type: "loop", maxIterations: 5, until: "${last.approved}", steps: [ask({ payload: "${index}" })] };
    const at = (index: number, payload: number, decision: "approve" | "reject") =>
      by("ada", { path: `l[${index}].ask`, payloadHash: hash(payload), decision });
    const ended = await answered([loop], at(0, 0, "reject"), at(1, 0, "approve"), at(1, 1, "approve"));
    expect(ended.answers).toEqual(["rejected 1", "approval_stale", "approved 1"]);
  });

  test("a quorum that is no number fails the step", async () => {
    const ended = await run([ask({ quorum: "${0}" })], () => undefined);
    expect(ended.end.error).toMatchObject({ type: "expression", instance: "ask" });
  });
});

test("a question is in the record at once, also while a long call is under way beside it", async () => {
  const branches = { call: [tool("long")], ask: [ask()] };
  let before = 0;
  await runPlain(
    { name: "test", version: "1.0.0", steps: [{ id: "p", type: "parallel", branches }] },
    {
      continues: false,
      answer: () => ({ output: 1, afterMs: 600_000 }),
      steer: (walk, port) =>
        port.at(1_000, () => {
          before = port.log.filter(({ type }) => type === "approval.requested").length;
          void walk.approvals.decide({ ...by("ada"), path: "p.ask.ask" });
        }),
    },
  );
  expect(before).toBe(1);
});
