import { expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import { isObject, jsonBytes, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";

const definition = (steps: object[], more: object = {}) => ({ name: "test", version: "1.0.0", steps, ...more });
const tool = (id: string, more: object = {}) => ({ id, type: "tool", tool: "test.echo", arguments: {}, ...more });
const text = "x".repeat(12_000);

/** The run, and the sizes of what it stored. */
async function storing(steps: object[], output: Json): Promise<PlainRun & { bytes: number[] }> {
  const bytes: number[] = [];
  const run = await runPlain(definition(steps), {
    answer: () => ({ output }),
    steer: (_, port) => {
      const { store } = port;
      port.store = (value, path) => {
        bytes.push(jsonBytes(value));
        return store(value, path);
      };
    },
  });
  return { ...run, bytes };
}

const items = Array.from({ length: 300 }, (_, index) => index);

test.each([
  ["a list", {}, "299"],
  ["an object", { key: "'k' + string(item)" }, "'k299'"],
])("%s of items that is larger than an activity takes is stored page by page", async (_, more, key) => {
  const each = { id: "each", type: "foreach", items, concurrency: 50, steps: [tool("a")], ...more };
  const seen = { id: "seen", type: "set", values: [`\${steps.each.output.size()}`, `\${steps.each.output[${key}].text.size()}`] };
  const { end, bytes } = await storing([each, seen], { text });
  expect(Math.max(...bytes)).toBeLessThanOrEqual(limits.argumentBytesMax);
  expect(bytes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(300 * 12_000);
  expect(end.result.output).toEqual([300, 12_000]);
});

test("a member that alone is too large stands in the others as a reference", async () => {
  const { bytes } = await storing([tool("a"), { id: "b", type: "set", values: { few: 1, many: "${range(300).map(x, steps.a.output)}" } }], {
    text,
  });
  expect(bytes.length).toBeGreaterThan(3);
  expect(Math.max(...bytes)).toBeLessThanOrEqual(limits.argumentBytesMax);
});

test("a large variable travels by reference, also in the log, and is read like any other", async () => {
  const { end, port } = await storing(
    [
      tool("a"),
      { id: "e", type: "set", values: 1, export: { big: "${[steps.a.output.text, steps.a.output.text]}" } },
      { id: "b", type: "set", values: "${vars.big[1].size()}" },
    ],
    { text },
  );
  expect(end.result.output).toBe(12_000);
  const { exports } = port.log.find(({ type, step }) => type === "step.completed" && step === "e")!.data as { exports: Json };
  expect(isObject(exports) && exports["big"]).toMatchObject({ $tenutoRef: expect.any(String) });
});

test.each(["__proto__", "$tenutoRef"])("a `foreach` refuses the key %s", async (key) => {
  const each = { id: "each", type: "foreach", items: ["a", key], key: "item", steps: [tool("s")] };
  const { end } = await runPlain(definition([each]));
  expect(end.error).toMatchObject({ type: "expression", instance: "each", detail: expect.stringContaining("reserved") });
});

test("a variable may be called as what every JavaScript object has", async () => {
  const { end } = await runPlain(definition([{ id: "s", type: "set", values: "${vars.toString + 1}" }], { vars: { toString: 1 } }));
  expect(end.result.output).toBe(2);
});

test.each(["__proto__", "constructor", "prototype"])("but nothing is called %s", async (name) => {
  const vars = JSON.parse(`{"${name}": 1}`) as object;
  await expect(runPlain(definition([tool("a")], { vars }))).rejects.toThrow(/vars/);
  await expect(runPlain(definition([tool(name)]))).rejects.toThrow(/name/);
  const all = [{ event: name }, { event: "b" }];
  await expect(runPlain(definition([{ id: "l", type: "listen", all }]))).rejects.toThrow(/cannot be read/);
});

test("an event of `all` may be called as what every JavaScript object has", async () => {
  const { end } = await runPlain(definition([{ id: "l", type: "listen", all: [{ event: "toString" }, { event: "b" }] }]), {
    steer: (walk, port) =>
      port.at(10, () => {
        for (const event of ["b", "toString"]) walk.mailbox.deliver({ id: event, event, data: 1, at: 0 });
      }),
  });
  expect(Object.keys(end.result.output as object).toSorted()).toEqual(["b", "toString"]);
});

test.each(["2030-01-01T09:00:00", "July 4", "1", "2030-02-30T09:00:00Z"])("`wait.until` %s has no zone, or is no moment", async (until) => {
  const waiting = (given: string): object => definition([{ id: "w", type: "wait", until: given }]);
  await expect(runPlain(waiting(until))).rejects.toThrow("is not a date and time");
  const { end } = await runPlain(waiting("${input}"), { input: until });
  expect(end.error).toMatchObject({ type: "expression", instance: "w" });
});

test("the second attempt of a child is never taken for the child of a step", async () => {
  const child = (id: string, more: object = {}) => ({ id, type: "workflow", workflow: "other", input: null, ...more });
  const retry = { maxAttempts: 2, initialInterval: 1 };
  let tries = 0;
  const { port } = await runPlain(definition([child("call", { retry }), child("call_attempt2")]), {
    answer: (path) => (path === "call" && tries++ === 0 ? { problem: makeProblem("tool", "no") } : { output: 1 }),
  });
  const ids = port.log.filter(({ type }) => type === "child.started").map(({ data }) => (data as { runId: string }).runId);
  expect(new Set(ids).size).toBe(3);
});

test("events without data fill the mailbox with their names and ids", async () => {
  let taken = 0;
  await runPlain(definition([{ id: "w", type: "wait", duration: "1s" }]), {
    steer: (walk, port) =>
      port.at(10, () => {
        const event = (id: number) => ({ id: `${id}`.padEnd(300, "i"), event: "e".repeat(255), data: null, at: 0 });
        try {
          for (; taken < limits.mailboxUnreadMax; taken++) {
            walk.mailbox.check(event(taken));
            walk.mailbox.deliver(event(taken));
          }
        } catch (error) {
          expect(error).toMatchObject({ code: "mailbox_full" });
        }
      }),
  });
  expect(taken).toBeLessThan(1_000);
});

test("an approval's title and assignees are bounded", async () => {
  const approval = (more: object) =>
    definition([{ id: "a", type: "approval", title: "${input}", payload: null, expiresAfter: "1s", ...more }]);
  const { port } = await runPlain(approval({}), { input: "t".repeat(5_000) });
  const asked = port.log.find(({ type }) => type === "approval.requested")!.data as { title: string };
  expect(asked.title).toHaveLength(limits.errorDetailMax);
  const { end } = await runPlain(approval({ assignees: "${range(101).map(n, string(n))}" }), { input: "t" });
  expect(end.error).toMatchObject({ type: "expression", detail: expect.stringContaining("at most 100") });
});
