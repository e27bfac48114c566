import { describe, expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import type { UpdateArguments } from "../contracts/messages.ts";
import type { Json } from "../contracts/json.ts";
import type { PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import { definition, tool } from "../tests/walk/steps.ts";
import type { Decision } from "./approvals.ts";
import type { Walk } from "./walk.ts";

const root = "r_00000000000000000000000000";
const budget = { usd: 1 };
const above = { scope: "run:mother", caps: { tokens: 1 }, onExceed: "pause" as const };

describe("what a call falls under", () => {
  test("is the budgets of the runs above, the run's and those of what is around it", async () => {
    const steps = [
      { id: "some", type: "parallel", budget, branches: { one: [tool("a", { budget })], two: [tool("b")] } },
      tool("last", { compensate: [tool("undo")] }),
      { id: "bad", type: "raise", error: { type: "no", detail: "no" } },
    ];
    const { port } = await runPlain(definition(steps, { budget }), { budgets: [above] });
    expect(Object.fromEntries(port.budgets)).toEqual({
      "some.one.a": ["run:mother", `run:${root}`, `step:${root}:some`, `step:${root}:some.one.a`],
      "some.two.b": ["run:mother", `run:${root}`, `step:${root}:some`],
      last: ["run:mother", `run:${root}`],
      "last.compensate.undo": ["run:mother", `run:${root}`],
    });
  });

  test("is nothing when nobody says so", async () => {
    const { port } = await runPlain(definition([tool("a")]));
    expect(port.budgets.get("a")).toEqual([]);
  });

  test("is the same in a window of a foreach", async () => {
    const items = Array.from({ length: 600 }, (_, n) => n);
    const each = { id: "each", type: "foreach", items: "${input}", steps: [tool("a")], budget };
    const { port } = await runPlain(definition([each], { budget }), { input: items });
    expect(port.parts.length).toBeGreaterThan(0);
    expect(port.budgets.get("each[599].a")).toEqual([`run:${root}`, `step:${root}:each`]);
  });
});

describe("a call that a budget refuses", () => {
  const refusal = (onExceed: string) => ({ problem: makeProblem("budget_exceeded", "too much", { onExceed, budgets: [] }) });
  const handled = tool("a", { catch: [{ steps: [{ id: "c", type: "set", values: "caught" }] }] });
  const run = (onExceed: string, action: UpdateArguments["attend"]["action"]) =>
    runPlain(definition([handled]), {
      answer: (_, __, attempt) => (attempt === 1 ? refusal(onExceed) : { output: "done" }),
      steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "a", by: "ada", action }).catch(() => undefined)),
    });

  test.each(["pause", "downgradeModel"])("with %s waits, whoever would take the error, and is made when it may", async (onExceed) => {
    const { end, port } = await run(onExceed, "retry");
    expect(end.result).toMatchObject({ status: "completed", output: "done" });
    expect(port.log.map(({ type }) => type)).toEqual(expect.arrayContaining(["step.parked", "run.needs_attention", "step.attended"]));
  });

  test("that a person lets fail is an error as any other", async () => {
    expect((await run("pause", "fail")).end.result).toMatchObject({ status: "completed", output: "caught" });
  });

  test("is asked about once, however deep it stands, and whatever `onError` says", async () => {
    const around = { id: "around", type: "sequence", steps: [tool("a", { onError: "park" })] };
    const { end, port } = await runPlain(definition([around]), {
      answer: () => refusal("pause"),
      steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "around.a", by: "ada", action: "fail" })),
    });
    expect(end.error).toMatchObject({ code: "budget_exceeded", instance: "around.a" });
    expect(port.log.filter(({ type }) => type === "step.parked").map(({ step }) => step)).toEqual(["around.a"]);
  });

  test("with fail is one at once", async () => {
    const { end, port } = await run("fail", "retry");
    expect(end.result).toMatchObject({ status: "completed", output: "caught" });
    expect(port.log.map(({ type }) => type)).not.toContain("step.parked");
  });
});

describe.each([false, true])("a budget that asks, with continue-as-new after every step: %s", (continues) => {
  const asks = { tokens: 100, onExceed: "ask", assignees: ["ada"] };
  const short = (scope: string, more: object = {}) => ({
    scope,
    unit: "tokens",
    day: null,
    onExceed: "ask",
    max: 100,
    used: 80,
    needed: 50,
    ...more,
  });
  const lacks = (...budgets: Json[]) => ({ problem: makeProblem("budget_exceeded", "too much", { onExceed: "ask", budgets }), afterMs: 5 });
  const ofRun = short(`run:${root}`);
  const person = (name: string) => ({ name, kind: "person" as const, roles: [] });
  const decides = (walk: Walk, path: string, more: Partial<Decision> = {}): void =>
    void walk.approvals.decide({ path, decision: "approve", by: person("ada"), ...more }).catch(() => undefined);
  const told = ({ port }: PlainRun, type: string, name = "budget") =>
    port.log.filter((event) => event.type === type && (event.step === name || event.step?.endsWith(`.${name}`)));

  /** Refused until somebody has approved. */
  const run = (steps: object[], steer: (walk: Walk, port: PlainPort) => void, more: object = {}): Promise<PlainRun> => {
    let port: PlainPort | undefined;
    return runPlain(
      definition([...steps, { id: "last", type: "wait", duration: "1m" }, { id: "end", type: "set", values: "end" }], {
        budget: asks,
        ...more,
      }),
      {
        continues,
        answer: () => (port!.raised.length > 0 ? { output: "done", afterMs: 5 } : lacks(ofRun)),
        steer: (walk, at) => {
          port = at;
          steer(walk, at);
        },
      },
    );
  };

  test("asks whether it may be raised, and goes on when it may", async () => {
    const ended = await run([tool("a")], (walk, port) => port.at(10_000, () => decides(walk, "a.budget")));
    const [question] = told(ended, "approval.requested");
    const raise = { scope: `run:${root}`, unit: "tokens", max: 100, used: 80, needed: 50, cap: 200 };
    expect(question!.data).toMatchObject({ assignees: ["ada"], editable: true, payload: { step: "a", budgets: [raise] } });
    expect(ended.port.raised).toEqual([
      { path: "a", by: "ada", raises: [raise], approved: { step: "a", budgets: [raise] }, waitedMs: 10_000 - 5 },
    ]);
    expect(told(ended, "step.attended", "a").map(({ data }) => data)).toMatchObject([{ action: "retry", by: "ada" }]);
    expect(ended.end.result).toMatchObject({ status: "completed" });
  });

  test("raises what the approver has changed", async () => {
    const data = { budgets: [{ scope: `run:${root}`, unit: "tokens", cap: 140 }] };
    const ended = await run([tool("a")], (walk, port) => port.at(10_000, () => decides(walk, "a.budget", { data })));
    expect(ended.port.raised).toMatchObject([{ approved: data }]);
  });

  test("is an error as any other when it may not", async () => {
    const caught = tool("a", { catch: [{ errors: ["budget_exceeded"], steps: [{ id: "c", type: "set", values: "caught" }] }] });
    const ended = await run([caught, tool("b", { onError: "continue" })], (walk, port) => {
      port.at(10_000, () => decides(walk, "a.budget", { decision: "reject" }));
      port.at(20_000, () => decides(walk, "b.budget", { decision: "reject" }));
    });
    expect(ended.end.result).toMatchObject({ status: "completed_with_errors", errors: [{ code: "budget_exceeded", instance: "b" }] });
    expect(told(ended, "step.completed", "a")[0]!.data).toMatchObject({ output: "caught" });
    expect(ended.port.raised).toEqual([]);
  });

  test("goes on as any that waits when somebody says so, and the question is closed", async () => {
    const late: string[] = [];
    const ended = await run([tool("a"), tool("b")], (walk, port) => {
      port.at(10_000, () => void walk.attention.attend({ path: "a", by: "bob", action: "skip" }));
      port.at(20_000, () => {
        const decide = async () => walk.approvals.decide({ path: "a.budget", decision: "approve", by: person("ada") });
        void decide().catch((error: { code: string }) => late.push(error.code));
        decides(walk, "b.budget");
      });
    });
    expect(told(ended, "step.canceled")).toMatchObject([{ step: "a.budget", data: { type: "approval" } }]);
    expect(late).toEqual(["approval_closed"]);
    expect(ended.end.result.status).toBe("completed");
  });

  const each = { id: "each", type: "foreach", items: "${range(20)}", concurrency: 20, onItemError: "collect", steps: [tool("a")] };

  test.each(["approve", "reject"] as const)("asks once for all steps that wait for the same: %s", async (decision) => {
    const ended = await run([each], (walk, port) =>
      port.at(10_000, () => decides(walk, told({ port } as PlainRun, "approval.requested")[0]!.step!, { decision })),
    );
    expect(told(ended, "approval.requested")).toHaveLength(1);
    expect(told(ended, "step.attended", "a")).toHaveLength(20);
    expect(told(ended, "step.failed", "a")).toHaveLength(decision === "approve" ? 0 : 20);
  });

  test.each(["p.one.a", "p.two.a"])("asks once for the others when %s, the one that had asked or not, is let go", async (path) => {
    const branches = { one: [tool("a")], two: [tool("a")], three: [tool("a")] };
    const ended = await run([{ id: "p", type: "parallel", branches }], (walk, port) => {
      port.at(10_000, () => void walk.attention.attend({ path, by: "bob", action: "skip" }));
      port.at(20_000, () => decides(walk, told({ port } as PlainRun, "approval.requested").at(-1)!.step!));
    });
    const asked = path === "p.one.a" ? ["p.one.a.budget", "p.two.a.budget"] : ["p.one.a.budget"];
    expect(told(ended, "approval.requested").map(({ step }) => step)).toEqual(asked);
    expect(ended.end.result.status).toBe("completed");
  });

  test("asks again when it was not raised enough", async () => {
    let port: PlainPort | undefined;
    const ended = await runPlain(definition([tool("a"), { id: "last", type: "wait", duration: "1m" }], { budget: asks }), {
      continues,
      answer: () => (port!.raised.length > 2 ? { output: "done" } : lacks(ofRun)),
      steer: (walk, at) => {
        port = at;
        for (const seconds of [1, 2, 3]) port.at(seconds * 1_000, () => decides(walk, "a.budget"));
      },
    });
    expect(ended.end.result.status).toBe("completed");
    expect(told(ended, "approval.decided")).toHaveLength(3);
    expect(ended.port.collisions).toEqual([]);
  });

  test("asks nobody about budgets that others decide about, or that are none of the run's", async () => {
    const inner = tool("a", { budget: { tokens: 10, onExceed: "ask", assignees: ["eve"] } });
    const budgets = [
      short(`run:${root}`),
      short(`step:${root}:a`, { max: 10 }),
      short("tenant", { day: "2020-01-01", onExceed: "downgradeModel" }),
    ];
    budgets[0]!.used = 300;
    const ended = await runPlain(definition([inner], { budget: asks }), {
      continues,
      answer: (_, __, attempt) => (attempt === 1 ? lacks(...budgets) : { output: "done" }),
      steer: (walk, port) => port.at(1_000, () => decides(walk, "a.budget")),
    });
    expect(ended.port.raised[0]!.raises).toMatchObject([{ scope: `run:${root}`, max: 100, used: 300, cap: 400 }]);
  });

  test("waits without a question for what no cap lets through", async () => {
    const ended = await runPlain(definition([tool("a")], { budget: asks }), {
      continues,
      answer: () => lacks(),
      steer: (walk, port) => port.at(1_000, () => void walk.attention.attend({ path: "a", by: "ada", action: "skip" })),
    });
    expect(told(ended, "approval.requested")).toEqual([]);
    expect(ended.end.result.status).toBe("completed");
  });

  test("is left when the run is cancelled", async () => {
    const ended = await run([tool("a")], (walk, port) => port.at(10_000, () => walk.cancel("enough")));
    expect(ended.end.result.status).toBe("canceled");
    expect(told(ended, "step.canceled")).toHaveLength(1);
  });

  test("is asked anew in a retry of the run", async () => {
    const first = await run([tool("a")], (walk, port) => port.at(10_000, () => decides(walk, "a.budget", { decision: "reject" })));
    expect(first.end.result.status).toBe("failed");
    let port: PlainPort | undefined;
    const again = await runPlain(definition([tool("a")], { budget: asks }), {
      continues,
      retryOf: first,
      answer: () => (port!.raised.length > 0 ? { output: "done" } : lacks(ofRun)),
      steer: (walk, at) => {
        port = at;
        at.at(at.now() + 10_000, () => decides(walk, "a.budget"));
      },
    });
    expect(again.end.result.status).toBe("completed");
  });
});
