import { expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import type { Answer } from "../tests/walk/plain-port.ts";
import { runPlain, started } from "../tests/walk/run-plain.ts";
import { boom } from "../tests/walk/answers.ts";
import { definition, tool } from "../tests/walk/steps.ts";
import { Scope } from "./scope.ts";
import { Slots } from "./slots.ts";

const by = { name: "ada", kind: "person" as const, roles: [] };

test("an approval inside a scope that is retried is asked again, as another attempt", async () => {
  const branches = { a: [tool("x")], b: [{ id: "ask", type: "approval", title: "Go?" }] };
  let calls = 0;
  const { end, port } = await runPlain(definition([{ id: "p", type: "parallel", onError: "park", branches }]), {
    answer: (): Answer => (calls++ === 0 ? boom : { output: 1 }),
    steer: (walk, at) => {
      at.at(1_000, () => void walk.attention.attend({ path: "p", action: "retry", by: "ada" }));
      at.at(2_000, () => void walk.approvals.decide({ path: "p.b.ask", decision: "approve", by }));
    },
  });
  expect(end.result.status).toBe("completed");
  expect(port.log.filter(({ type }) => type === "approval.requested").map(({ identity }) => identity)).toEqual([
    "p.b.ask#1/approval.requested/0",
    "p.b.ask#2/approval.requested/0",
  ]);
});

test("a loop that is retried goes on where it stood, whatever keepLast says", async () => {
  let failures = 0;
  const loop = { id: "l", type: "loop", maxIterations: 20, until: "${index == 14}", keepLast: 2, onError: "park", steps: [tool("pay")] };
  const { port } = await runPlain(definition([loop]), {
    answer: (path) => (path === "l[12].pay" && failures++ === 0 ? boom : { output: path }),
    steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "l", action: "retry", by: "ada" })),
  });
  const paths = started({ port });
  expect(paths.filter((path) => path === "l[3].pay")).toHaveLength(1);
  expect(paths).toHaveLength(16);
});

test("what comes in the very moment of a cancel goes to whoever still listens", async () => {
  const listen = (id: string, event: string) => ({ id, type: "listen", one: { event } });
  const race = { id: "r", type: "parallel", join: "race", branches: { a: [listen("go", "go")], b: [listen("stop", "stop")] } };
  const { end } = await runPlain(definition([race, listen("next", "go")], { output: "${steps.next.output.id}" }), {
    steer: (walk, at) =>
      at.at(10, () => {
        walk.mailbox.deliver({ event: "stop", data: null, id: "1", at: 0 });
        const late = (turns: number): void =>
          void (turns === 0
            ? walk.mailbox.deliver({ event: "go", data: null, id: "2", at: 0 })
            : Promise.resolve().then(() => late(turns - 1)));
        late(24);
      }),
  });
  expect(end.result.output).toBe("2");
});

test.each(["${1e300}", "${'not a time'}"])("a wait until %s fails its step", async (until) => {
  const { end } = await runPlain(definition([{ id: "w", type: "wait", until }]));
  expect(end.error).toMatchObject({ type: "expression", instance: "w" });
});

test("an event to something that is no run fails its step", async () => {
  const { end } = await runPlain(definition([{ id: "e", type: "emit", event: "x", to: "x".repeat(2_000) }]));
  expect(end.error).toMatchObject({ type: "not_found", instance: "e" });
});

test("a quorum of more than there are fails at once", async () => {
  const { end } = await runPlain(
    definition([{ id: "f", type: "foreach", items: "${range(2)}", join: "quorum", quorum: 3, steps: [tool("x")] }]),
  );
  expect(end.error).toMatchObject({ type: "join" });
});

test("a step whose own catch fails is told as failed", async () => {
  const step = tool("a", { catch: [{ steps: [{ id: "r", type: "raise", error: { type: "worse", detail: "worse" } }] }] });
  const { end, port } = await runPlain(definition([step]), { answer: () => boom });
  expect(end.error).toMatchObject({ type: "worse" });
  expect(port.log.filter(({ type }) => type === "step.failed").map(({ step: path }) => path)).toEqual(["a.catch0.r", "a"]);
});

test("no cancel cuts a finally", async () => {
  const { end, port } = await runPlain(
    definition([{ id: "t", type: "try", steps: [tool("a")], finally: [tool("c1"), tool("c2")] }, tool("never")]),
    {
      answer: () => ({ output: 1, afterMs: 100 }),
      steer: (walk, at) => at.at(150, () => walk.cancel("enough")),
    },
  );
  expect(started({ port })).toEqual(["t.a", "t.finally.c1", "t.finally.c2"]);
  expect(end.result.status).toBe("canceled");
});

test("problems that are let pass are bounded in number and size", async () => {
  const { end } = await runPlain(
    definition([{ id: "f", type: "foreach", items: "${range(300)}", steps: [tool("x", { onError: "continue" })] }]),
    {
      answer: () => ({ problem: makeProblem("tool", "x".repeat(100_000)) }),
    },
  );
  expect(JSON.stringify(end.result.errors).length).toBeLessThan(200_000);
});

test("slots let no more than their number in, in the order of asking, and a cancelled asker leaves the queue", async () => {
  const slots = new Slots();
  const order: number[] = [];
  const opened: (() => void)[] = [];
  const scope = new Scope();
  const running = Array.from({ length: 502 }, (_, n) =>
    slots
      .hold(1, n === 500 ? scope : new Scope(), () => new Promise<void>((done) => (order.push(n), opened.push(done))))
      .catch(() => undefined),
  );
  await new Promise((turn) => setImmediate(turn));
  expect(order).toHaveLength(500);
  scope.cancel("gone");
  opened[0]!();
  await new Promise((turn) => setImmediate(turn));
  expect(order.at(-1)).toBe(501);
  for (const done of opened) done();
  await Promise.all(running);
});
