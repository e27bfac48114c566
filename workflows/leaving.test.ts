import { describe, expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { planOf } from "../tests/walk/plan-of.ts";
import type { PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import { boom } from "../tests/walk/answers.ts";
import { definition, toolOnce } from "../tests/walk/steps.ts";

describe("a run that remembers much goes on in another execution", () => {
  /** Of each call 14 KB are remembered to undo it. */
  const compensate = [toolOnce("undo", { arguments: { what: "${output}" } })];
  const loop = { id: "loop", type: "loop", while: "${index < 80}", maxIterations: 100, steps: [toolOnce("pay", { compensate })] };
  const answer = (path: string) => (path === "bad" ? boom : { output: `${path} ${"x".repeat(14_000)}` });

  test.each<[string, Json]>([
    ["", null],
    [", also when it was started with much", "x".repeat(1_200_000)],
  ])("with what it needs to undo what it did%s", async (_, input) => {
    const undone = new Set<string>();
    const { end, port, executions } = await runPlain(definition([loop, toolOnce("bad")]), {
      continues: 20,
      input,
      answer: (path, fields) => {
        if (path.endsWith("undo")) undone.add(JSON.stringify(fields));
        return answer(path);
      },
    });
    expect(end.error).toMatchObject({ instance: "bad" });
    expect(undone.size).toBe(80);
    expect(executions).toBeGreaterThan(4);
    expect(port.stateBytes).toBeLessThanOrEqual(Math.min(limits.stateBytesMax, limits.continuedBytesMax - jsonBytes(input)));
  });

  test("with variables, the payloads of questions, and what a loop has come to", async () => {
    const names = Array.from({ length: 40 }, (_, n) => `v${n}`);
    const all = (value: string) => Object.fromEntries(names.map((name) => [name, value]));
    const asks = names.map((name) => ({
      id: `ask_${name}`,
      type: "approval",
      needs: ["a"],
      title: "May I?",
      payload: { text: `\${vars.${name}}` },
      expiresAfter: "1h",
    }));
    const turns = {
      id: "turns",
      type: "loop",
      needs: ["a"],
      maxIterations: 3,
      until: "${index == 2}",
      steps: [
        toolOnce("turn"),
        { id: "w", type: "wait", duration: "1m" },
        { id: "all", type: "set", values: { list: "${[steps.turn.output, string(index), last == null ? 0 : last.list.size()]}" } },
      ],
    };
    const steps = [
      toolOnce("a", { export: all("${output}") }),
      ...asks,
      turns,
      { id: "sum", type: "set", needs: ["turns", "ask_v0"], values: "${[vars.v1.size(), steps.turns.output.list[2]]}" },
    ];
    const run = await runPlain(definition(steps, { vars: all(""), output: "${steps.sum.output}" }), {
      continues: true,
      answer: () => ({ output: "x".repeat(15_000) }),
    });
    expect(run.end.result).toMatchObject({ status: "completed", output: [15_000, 3] });
    expect(run.executions).toBeGreaterThan(2);
    expect(run.port.stateBytes).toBeLessThanOrEqual(limits.stateBytesMax);
  });
});

describe("a run that must remember too much", () => {
  /** No detail of an error can be stored elsewhere. */
  const items = Array.from({ length: 500 }, (_, n) => n);
  const each = { id: "each", type: "foreach", items: "${input}", concurrency: 10, onItemError: "collect", steps: [toolOnce("a")] };
  const answer = (path: string) => (path.startsWith("each") ? { problem: makeProblem("tool", "x".repeat(2_000)) } : { output: path });
  const run = (steer: (walk: PlainRun["walk"], port: PlainPort) => void, steps: object[] = []): Promise<PlainRun> =>
    runPlain(definition([each, toolOnce("b"), toolOnce("c"), ...steps]), { continues: 50, input: items, answer, steer });
  const told = ({ port }: PlainRun, type: string): object[] => port.log.filter((event) => event.type === type).map(({ data }) => data);

  test("goes on where it is until it must no more, and says so", async () => {
    let shown = "";
    const ended = await run((_, port) => {
      const { show } = port;
      port.show = (markdown) => {
        if (markdown.includes("must remember")) shown = markdown;
        show(markdown);
      };
    });
    expect(ended.end.result.status).toBe("completed");
    expect(shown).toMatch(/What the run must remember needs \d+ bytes; a new execution takes 1048576/);
    // Before that, and when the items are done.
    expect(ended.executions).toBeGreaterThan(2);
  });

  test("takes no other plan meanwhile", async () => {
    const ended = await run((walk, port) =>
      port.at(45, () =>
        walk.changes.ask({
          plan: { ...planOf({ ...definition([each, toolOnce("b")]), version: "2.0.0" }), hash: "new" },
          kind: "patch",
          by: "ada",
        }),
      ),
    );
    expect(told(ended, "plan.refused")).toMatchObject([{ by: "ada", refusals: [{ why: expect.stringContaining("must remember") }] }]);
    expect(told(ended, "plan.changed")).toEqual([]);
    expect(ended.end.result.status).toBe("completed");
  });

  test("ends with a fault when its history has no more room", async () => {
    const ended = await run((_, port) => {
      port.history = () => {
        const calls = port.keys.length;
        return { events: calls > 400 ? limits.historyEventsMax * 2 : calls, bytes: 0, isLong: calls > 300 };
      };
    });
    expect(ended.end).toMatchObject({
      result: { status: "failed" },
      error: { type: "limit", detail: expect.stringContaining("must remember") },
    });
  });
});

test("of ids of events a run remembers the latest, within their bytes", async () => {
  const seen: string[] = [];
  const id = (n: number): string => `${n} ${"i".repeat(240)}`;
  await runPlain(definition([{ id: "w", type: "wait", duration: "1s" }]), {
    steer: (walk, port) =>
      port.at(10, () => {
        for (let n = 0; n < 2_000; n++) walk.mailbox.deliver({ event: "e", data: null, id: id(n), at: 0 });
        walk.mailbox.deliver({ event: "e", data: null, id: id(1_999), at: 0 });
        seen.push(...walk.mailbox.state().seen);
      }),
  });
  expect(seen.at(-1)).toBe(id(1_999));
  expect(jsonBytes(seen)).toBeLessThanOrEqual(limits.seenEventBytesMax + seen.length + 2);
  expect(seen.length).toBeGreaterThan(1_000);
});
