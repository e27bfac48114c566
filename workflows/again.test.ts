import { describe, expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import { boom } from "../tests/walk/answers.ts";
import { definition, toolOnce } from "../tests/walk/steps.ts";

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  test.each([false, true])(
    "a list that is tried again has the items it had, whatever became of variables; isolated: %s",
    async (isolate) => {
      const done: Json[] = [];
      const rest = { id: "rest", type: "set", values: 0, export: { todo: "${vars.todo.filter(each, each != item)}" } };
      const list = {
        id: "list",
        type: "foreach",
        items: "${vars.todo}",
        concurrency: 1,
        isolate,
        retry: { maxAttempts: 2, initialInterval: "1s" },
        steps: [toolOnce("do", { arguments: { item: "${item}" } }), rest],
        output: "${steps.do.output}",
      };
      const { end } = await runPlain(definition([list], { vars: { todo: ["a", "b", "c"] } }), {
        continues,
        answer: (_, fields) => {
          const { item } = (fields as { arguments: { item: string } }).arguments;
          done.push(item);
          return item === "b" && done.length === 2 ? boom : { output: item };
        },
      });
      expect(end.result).toMatchObject({ status: "completed", output: ["a", "b", "c"] });
      expect(done).toEqual(["a", "b", "b", "c"]);
    },
  );

  test("a retry of the run has the variables of kept steps, however late it meets them", async () => {
    const set = { id: "set", type: "set", if: "${item > 1}", values: "${item}", export: { last: "${output}" } };
    const steps = [toolOnce("do"), toolOnce("more"), set, toolOnce("tail", { arguments: { last: "${vars.last}" } })];
    const list = { id: "list", type: "foreach", items: [0, 1, 2], concurrency: 2, onItemError: "collect", steps };
    let isBad = true;
    const told: Json[] = [];
    const options = {
      continues,
      answer: (path: string, fields: unknown) => {
        if (path === "list[2].tail") told.push((fields as { arguments: { last: Json } }).arguments.last);
        return isBad && /^list\[[01]\]|tail|^bad/.test(path) ? boom : { output: path };
      },
    };
    const whole = definition([list, toolOnce("bad")], { vars: { last: -1 } });
    const first = await runPlain(whole, options);
    expect(first.end.result.status).toBe("failed");
    isBad = false;
    const second = await runPlain(whole, { ...options, retryOf: first });
    expect(second.kept?.entries.map(({ path }) => path)).toEqual(["list[2].do", "list[2].more", "list[2].set"]);
    expect(second.end.result.status).toBe("completed");
    expect(told).toEqual([2, 2]);
  });

  describe("an activity whose content may ask for another attempt", () => {
    const retry = { maxAttempts: 4, initialInterval: "1s", jitter: 0, backoff: 1, while: "${output < 9}" };
    const asks = async (ends: Json[], more: object = {}): Promise<{ ended: PlainRun; left: number[] }> => {
      const problems = { late: makeProblem("timeout", "late"), never: makeProblem("activity", "no", { retryable: false }) };
      let calls = 0;
      const ended = await runPlain(definition([{ id: "a", type: "activity", activity: "ask", retry, ...more }]), {
        continues,
        answer: () => {
          const end = ends[calls++] ?? 0;
          return end === "late" || end === "never" ? { problem: problems[end], afterMs: 2_000 } : { output: end, afterMs: 2_000 };
        },
      });
      return { ended, left: ended.port.foreigns.map(({ options }) => options.totalTimeoutMs) };
    };

    test.each([
      ["ended well", ["late", 1, 9], "completed", 3],
      ["failed for good", [1, "never", 9], "failed", 2],
      ["had as many as there may be", [1, "late", 1, "late", 9], "failed", 4],
    ] as const)("has them one by one until it has %s", async (_, ends, status, count) => {
      const { ended } = await asks([...ends]);
      expect(ended.end.result.status).toBe(status);
      expect(ended.port.foreigns.map(({ attempt, options }) => [attempt, options.retry.maxAttempts])).toEqual(
        Array.from({ length: count }, (_, index) => [index + 1, 1]),
      );
    });

    test("has what is left of the time for all of them", async () => {
      const { ended, left } = await asks([1, "late", 1], { totalTimeout: "8s" });
      expect(left).toEqual([8_000, 5_000, 2_000]);
      expect(ended.end.error).toMatchObject({ type: "tool" });
    });
  });

  test("what a step set is not set again when the scope around it is tried again", async () => {
    const steps = [
      { id: "one", type: "set", values: 1, export: { n: "${output}" } },
      { id: "two", type: "set", values: 2, export: { n: "${output}" }, if: "${vars.n == 1}" },
      toolOnce("bad"),
    ];
    const round = { id: "round", type: "sequence", retry: { maxAttempts: 2, initialInterval: "1s" }, steps, output: "${vars.n}" };
    const beside = {
      id: "beside",
      type: "sequence",
      needs: [],
      steps: [
        { id: "w", type: "wait", duration: "500ms" },
        { id: "three", type: "set", values: 3, export: { n: "${output}" } },
      ],
    };
    let calls = 0;
    const { end } = await runPlain(definition([{ ...round, needs: [] }, beside], { vars: { n: 0 }, output: "${steps.round.output}" }), {
      continues,
      answer: () => (++calls === 1 ? boom : { output: null }),
    });
    expect(end.result.output).toBe(3);
  });
});
