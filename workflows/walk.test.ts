import { describe, expect, test } from "@jest/globals";
import { replyEvent } from "../contracts/agent-messages.ts";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { runPlain, started } from "../tests/walk/run-plain.ts";
import { boom, fails } from "../tests/walk/answers.ts";
import { definition, tool } from "../tests/walk/steps.ts";

const ada = { name: "ada", kind: "person" as const, roles: ["finance"] };

test("no step starts while the run is paused, and resuming goes on where it stood", async () => {
  const startedAt: number[] = [];
  const { end, port } = await runPlain(definition([tool("a"), tool("b"), tool("c")]), {
    answer: (path) => ({ output: path, afterMs: 100 }),
    steer: (walk, at) => {
      at.at(150, () => void walk.pause.pause({ by: "ada", scope: "run", timers: "run" }));
      at.at(5_000, () => void walk.pause.resume({ by: "ada", scope: "run" }));
    },
  });
  startedAt.push(...port.trace.filter(({ what }) => what === "start").map(({ at }) => at));
  expect(startedAt).toEqual([0, 100, 5_000]);
  expect(end.result.status).toBe("completed");
  expect(port.log.map(({ type }) => type)).toEqual(expect.arrayContaining(["run.paused", "run.resumed"]));
});

test("a cancelled run starts nothing more, runs its finally blocks and ends as canceled", async () => {
  const { end, port } = await runPlain(
    definition([{ id: "t", type: "try", steps: [tool("long"), tool("never")], finally: [tool("clean")] }], { finally: [tool("last")] }),
    { answer: (path) => ({ output: path, afterMs: 100 }), steer: (walk, at) => at.at(50, () => walk.cancel("enough")) },
  );
  expect(started({ port })).toEqual(["t.long", "t.finally.clean", "finally.last"]);
  expect(port.trace.filter(({ what }) => what === "cancel")).toEqual([{ at: 50, what: "cancel", path: "t.long" }]);
  expect(end.result.status).toBe("canceled");
  expect(port.log.at(-1)!.type).toBe("run.canceled");
});

test("losers of a join are cancelled and their finally is awaited before the join ends", async () => {
  const slow = { id: "t", type: "try", steps: [tool("long")], finally: [tool("clean")] };
  const { end, port } = await runPlain(
    definition([{ id: "p", type: "parallel", join: "any", branches: { quick: [tool("a")], slow: [slow] } }, tool("after")]),
    {
      answer: (path) => ({ output: path, afterMs: path === "p.slow.t.long" ? 1_000 : path.endsWith("clean") ? 300 : 10 }),
    },
  );
  expect(port.trace.find(({ path, what }) => path === "after" && what === "start")!.at).toBe(310);
  expect(end.result.output).toBe("after");
});

test("a quorum that can no longer be met fails at once and says why", async () => {
  const branches = { a: [tool("x")], b: [tool("x")], c: [tool("x")] };
  const { end, port } = await runPlain(definition([{ id: "p", type: "parallel", join: "quorum", quorum: 2, branches }]), {
    answer: (path) => (path === "p.c.x" ? { output: 1, afterMs: 1_000 } : { ...boom, afterMs: 10 }),
  });
  expect(end.error).toMatchObject({ type: "join", detail: expect.stringContaining("2 successes") });
  expect(port.trace.find(({ what }) => what === "cancel")).toEqual({ at: 10, what: "cancel", path: "p.c.x" });
});

test.each([
  ["retry", "completed", ["bad", "bad", "next"]],
  ["skip", "completed", ["bad", "next"]],
  ["fail", "failed", ["bad"]],
] as const)("a parked step that a person says %s to ends the run as %s", async (action, status, calls) => {
  const { end, port } = await runPlain(definition([tool("bad", { onError: "park" }), tool("next")]), {
    answer: (path, _, attempt) => (path === "bad" && attempt === 1 ? boom : { output: path }),
    steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "bad", action, by: "ada" })),
  });
  expect(end.result.status).toBe(status);
  expect(started({ port })).toEqual(calls);
  expect(port.log.map(({ type }) => type)).toEqual(expect.arrayContaining(["step.parked", "run.needs_attention", "step.attended"]));
});

test("a scope that is retried by a person does not repeat what was finished inside it", async () => {
  const { end, port } = await runPlain(definition([{ id: "s", type: "sequence", onError: "park", steps: [tool("good"), tool("bad")] }]), {
    answer: (path, _, attempt) => (path === "s.bad" && portCalls(path) === 1 && attempt === 1 ? boom : { output: path }),
    steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "s", action: "retry", by: "ada" })),
  });
  expect(started({ port })).toEqual(["s.good", "s.bad", "s.bad"]);
  expect(end.result.status).toBe("completed");
});

const counted = new Map<string, number>();
function portCalls(path: string): number {
  counted.set(path, (counted.get(path) ?? 0) + 1);
  return counted.get(path)!;
}

test("a child that is abandoned with its scope keeps the run no longer at work", async () => {
  const child = { id: "child", type: "workflow", workflow: "other", parentClosePolicy: "abandon" };
  const steps = [
    { id: "s", type: "sequence", timeout: "1s", steps: [child], catch: [{ steps: [{ id: "w", type: "wait", duration: "10s" }] }] },
  ];
  const seen: unknown[] = [];
  await runPlain(definition(steps), {
    answer: () => ({ output: 1, afterMs: 60_000 }),
    steer: (walk, port) => {
      port.at(500, () => seen.push(walk.status()));
      port.at(2_000, () =>
        seen.push(
          walk.status(),
          port.log.some(({ type }) => type === "wait.started"),
        ),
      );
    },
  });
  expect(seen).toEqual(["running", "waiting", true]);
});

test("steps that were held for another execution begin when a long call puts it off", async () => {
  const branches = {
    held: [tool("a"), tool("b")],
    long: [tool("turned", { timeout: "5m" })],
    short: [tool("c")],
  };
  const isTurned = (path: string): boolean => path === "p.long.turned" && portCalls(path) === 1;
  const { port } = await runPlain(definition([{ id: "p", type: "parallel", branches }]), {
    continues: true,
    answer: (path) => {
      if (isTurned(path)) return { output: null, delay: { for: "its turn", ms: 1_000 } };
      return { output: path, afterMs: { a: 10, b: 10, c: 5_000 }[path.at(-1)!] ?? 60_000 };
    },
  });
  const begun = port.trace.filter(({ what }) => what === "start").map(({ path, at }) => [path, at]);
  expect(begun).toContainEqual(["p.held.b", 1_001]);
});

test("a parked step is in the record at once, also while a child is at work beside it", async () => {
  const child = { id: "child", type: "workflow", workflow: "other" };
  const bad = tool("bad", { onError: "park", needs: [] });
  let parkedAt = 0;
  await runPlain(
    { name: "test", version: "1.0.0", steps: [child, bad] },
    {
      answer: (path) => (path === "bad" ? boom : { output: 1, afterMs: 60_000 }),
      steer: (walk, port) => {
        port.heard = ({ type }) => {
          if (type !== "step.parked") return;
          parkedAt = port.now();
          port.at(port.now() + 10, () => void walk.attention.attend({ path: "bad", action: "skip", by: "ada" }));
        };
      },
    },
  );
  expect(parkedAt).toBeLessThan(100);
});

describe("with `onError: park` as a default", () => {
  const numbers = Array.from({ length: 501 }, (_, n) => n);
  const parkedAfterFail = async (steps: object[], input: Json = [0]): Promise<unknown[]> => {
    const { end, port } = await runPlain(definition(steps, { defaults: { onError: "park" } }), {
      input,
      answer: (path) => (path.endsWith("[0].bad") ? boom : { output: path }),
      steer: (walk, at) =>
        void (at.heard = ({ type, step }) => {
          if (type === "step.parked") at.at(at.now() + 10, () => void walk.attention.attend({ path: step!, action: "fail", by: "ada" }));
        }),
    });
    expect(end.result.status).toBe("failed");
    return port.log.filter(({ type }) => type === "step.parked").map(({ step }) => step);
  };
  const around = (step: object, more: object = {}) => ({
    id: "seq",
    type: "sequence",
    steps: [{ id: "each", type: "foreach", items: "${input}", steps: [step], ...more }],
  });

  test("what a person lets fail is asked about once, not at every scope around", async () => {
    expect(await parkedAfterFail([around(tool("bad"))])).toEqual(["seq.each[0].bad"]);
  });

  test.each([
    ["here", [0]],
    ["in a window", numbers],
  ])("what is raised is asked about nowhere: %s", async (_, input) => {
    const raised = around({ id: "no", type: "raise", error: { type: "odd" } });
    expect(await parkedAfterFail([raised], input)).toEqual([]);
    const mended = around(tool("bad", { catch: [{ steps: [{ id: "no", type: "raise", error: { type: "odd" } }] }] }));
    expect(await parkedAfterFail([mended], input)).toEqual([]);
  });

  test("what a person lets fail in a window is not asked about once more", async () => {
    const { end, port } = await runPlain(definition([around(tool("bad", { onError: "fail" }))], { defaults: { onError: "park" } }), {
      input: numbers,
      answer: (path) => (path.endsWith("[0].bad") ? { problem: makeProblem("tool", "boom", { isAnswered: true }) } : { output: path }),
    });
    expect([end.result.status, port.log.filter(({ type }) => type === "step.parked")]).toEqual(["failed", []]);
  });
});

test("an error that a scope around takes does not park", async () => {
  const parked = tool("bad", { onError: "park" });
  const { end, port } = await runPlain(definition([{ id: "t", type: "try", steps: [parked], catch: [{ steps: [tool("mend")] }] }]), {
    answer: fails("t.bad"),
  });
  expect(end.result.output).toBe("t.catch0.mend");
  expect(port.log.map(({ type }) => type)).not.toContain("step.parked");
});

test("`raise` without an error inside a catch passes the error on", async () => {
  const { end } = await runPlain(
    definition([{ id: "t", type: "try", steps: [tool("bad")], catch: [{ steps: [{ id: "again", type: "raise" }] }] }]),
    { answer: fails("t.bad") },
  );
  expect(end.error).toMatchObject({ type: "tool", detail: "boom", instance: "t.bad" });
});

test("an event that came early is kept, the same id counts once, and each listener takes its own", async () => {
  const listen = (id: string) => ({ id, type: "listen", one: { event: "order" } });
  const { end } = await runPlain(
    definition([tool("a"), listen("l1"), listen("l2")], { output: "${[steps.l1.output.data, steps.l2.output.data]}" }),
    {
      answer: () => ({ output: null, afterMs: 100 }),
      steer: (walk, at) =>
        at.at(10, () => {
          for (const id of ["1", "1", "2"]) walk.mailbox.deliver({ event: "order", data: id, id, at: 0 });
        }),
    },
  );
  expect(end.result.output).toEqual(["1", "2"]);
});

test("`when` chooses among events, and what it leaves stays for others", async () => {
  const listen = (id: string, when: string) => ({ id, type: "listen", one: { event: "order", when } });
  const { end } = await runPlain(
    definition([listen("big", "${event.data.n > 10}"), listen("any", "${true}")], {
      output: "${[steps.big.output.id, steps.any.output.id]}",
    }),
    {
      steer: (walk, at) => {
        at.at(10, () => walk.mailbox.deliver({ event: "order", data: { n: 1 }, id: "small", at: 0 }));
        at.at(20, () => walk.mailbox.deliver({ event: "order", data: { n: 11 }, id: "large", at: 0 }));
      },
    },
  );
  expect(end.result.output).toEqual(["large", "small"]);
});

test("a full mailbox refuses, and says so before anything is lost", async () => {
  await runPlain(definition([{ id: "w", type: "wait", duration: "1s" }]), {
    steer: (walk, at) =>
      at.at(10, () => {
        for (let n = 0; n < 2_000; n++) walk.mailbox.deliver({ event: "e", data: null, id: String(n), at: 0 });
        expect(() => walk.mailbox.check({ event: "e", data: null, id: "0", at: 0 })).not.toThrow();
        expect(() => walk.mailbox.check({ event: "e", data: null, id: "new", at: 0 })).toThrow("2000 events wait unread");
      }),
  });
});

test("a full mailbox takes the answer to a message of the run, unless it comes late", async () => {
  const reply = { event: replyEvent("m"), data: null, id: "answer", at: 0 };
  const counts: number[] = [];
  const { port } = await runPlain(definition([{ id: "w", type: "wait", duration: "1s" }]), {
    steer: (walk, at) =>
      at.at(10, () => {
        const post = (...events: (typeof reply)[]): void => {
          for (const event of events) walk.mailbox.post(event);
          counts.push(walk.mailbox.state().unread.length);
        };
        post(...Array.from({ length: 2_001 }, (_, n) => ({ ...reply, event: "e", id: String(n) })));
        post(reply);
        walk.mailbox.close(reply.event);
        post({ ...reply, id: "late" });
      }),
  });
  expect(counts).toEqual([2_000, 2_001, 2_000]);
  expect(port.log.filter(({ type }) => type === "event.refused")).toMatchObject([{ data: { event: "e", id: "2000" } }]);
});

test("an approval takes one decision, of a person who is assigned, and refuses the next", async () => {
  const steps = [{ id: "ask", type: "approval", title: "Pay?", assignees: ["role:finance"] }];
  const { end, port } = await runPlain(definition(steps), {
    steer: (walk, at) =>
      at.at(10, () => {
        const decide = (by: typeof ada, decision: "approve" | "reject" = "approve") => ({ path: "ask", decision, by });
        expect(() => walk.approvals.check(decide({ ...ada, roles: [] }))).toThrow("not among those");
        expect(() => walk.approvals.check(decide({ ...ada, kind: "service" } as never))).toThrow("needs a person");
        void walk.approvals.decide(decide(ada));
        expect(() => walk.approvals.check(decide(ada, "reject"))).toThrow("waits for no decision");
      }),
  });
  expect(end.result.output).toMatchObject({ decision: "approved", approved: true, by: "ada" });
  expect(port.log.filter(({ type }) => type === "approval.decided")).toHaveLength(1);
});

test("approvals in items and branches are answered in any order", async () => {
  const ask = { id: "ask", type: "approval", title: "Item ${item}?" };
  const { end } = await runPlain(
    definition([{ id: "f", type: "foreach", items: [1, 2, 3], steps: [ask] }], { output: "${steps.f.output.map(a, a.by)}" }),
    {
      steer: (walk, at) => {
        for (const [index, name] of ["x", "y", "z"].entries())
          at.at(100 - index, () => void walk.approvals.decide({ path: `f[${index}].ask`, decision: "approve", by: { ...ada, name } }));
      },
    },
  );
  expect(end.result.output).toEqual(["x", "y", "z"]);
});

test("a value above the inline limit travels as a reference, and expressions that read inside it are still right", async () => {
  const big = { words: Array.from({ length: 4_000 }, (_, n) => `word${n}`) };
  const steps = [
    { id: "big", type: "set", values: "${input}" },
    tool("pass", { arguments: { all: "${steps.big.output}" } }),
    { id: "read", type: "set", values: "${steps.pass.output.words[3999]}" },
  ];
  const { end } = await runPlain(definition(steps), {
    input: { $tenutoRef: "0", bytes: 1 } as Json,
    answer: () => ({ output: { $tenutoRef: "0", bytes: 1 } }),
    steer: (_, port) => void port.store(big, "before"),
  });
  expect(end.result.output).toBe("word3999");
});

test("a step's time limit cancels what runs inside it", async () => {
  const { end, port } = await runPlain(definition([{ id: "s", type: "sequence", timeout: "1s", steps: [tool("slow")] }]), {
    answer: () => ({ output: 1, afterMs: 60_000 }),
  });
  expect(end.error).toMatchObject({ type: "timeout", instance: "s" });
  expect(port.trace.at(-1)).toEqual({ at: 1_000, what: "cancel", path: "s.slow" });
});

test("`end` stops everything that runs beside it", async () => {
  const { end, port } = await runPlain(
    definition([
      { id: "p", type: "parallel", branches: { a: [tool("quick"), { id: "stop", type: "end", output: "early" }], b: [tool("slow")] } },
      tool("never"),
    ]),
    { answer: (path) => ({ output: path, afterMs: path.endsWith("slow") ? 1_000 : 10 }) },
  );
  expect(end.result).toEqual({ status: "completed", output: "early" });
  expect(started({ port })).toEqual(["p.a.quick", "p.b.slow"]);
});
