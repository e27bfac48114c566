import { describe, expect, test } from "@jest/globals";
import type { Json } from "../../contracts/json.ts";
import { casesOf } from "../cases.ts";
import { Bank } from "./bank.ts";
import type { Answer, PlainPort } from "./plain-port.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";
import { boom } from "./answers.ts";
import { definition, payOnce, toolOnce } from "./steps.ts";

/** What was undone is done again under another key, what was not is not: whichever way a `foreach` is done. */

const pay = payOnce();
const raise = { id: "no", type: "raise" };
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const each = (steps: object[], more: object = {}) => ({ id: "each", type: "foreach", items: "${input}", steps, ...more });
const attempts = (count: number) => ({ retry: { maxAttempts: count, initialInterval: "1s", jitter: 0 } });
const undoing = (count: number, steps: object[]) => ({
  id: "t",
  type: "try",
  undo: true,
  ...attempts(count),
  steps,
  catch: [{ steps: [raise] }],
});

/** Fails so many times at a path. */
function failing(bad: string, times = 1): (path: string) => Answer | undefined {
  let left = times;
  return (path) => (path === bad && left-- > 0 ? boom : undefined);
}

const allPorts = (port: PlainPort): PlainPort[] => [port, ...port.parts.flatMap(allPorts)];
const keysOf = ({ port }: PlainRun, end: string): string[] =>
  allPorts(port)
    .flatMap(({ keys }) => keys)
    .map((key) => key.slice(key.indexOf(":") + 1))
    .filter((key) => key.replace(/#\d+$/, "").endsWith(end))
    .toSorted();

/** How many items, and after how many calls a run goes on in another execution: after each, where that is no matter of minutes. */
const ways = {
  "in its own run": [{}, 6, true],
  isolated: [{ isolate: true, concurrency: 2 }, 6, true],
  "in windows": [{ concurrency: 50 }, 510, 40],
  "isolated, in windows": [{ isolate: true, concurrency: 50 }, 204, 40],
} as const;

describe.each(Object.entries(ways))("items done %s", (_, [how, count, often]) => {
  describe.each([false, true].slice(0, casesOf(2)))("with continue-as-new: %s", (continues) => {
    const bad = `[${count - 2}]`;
    const run = (steps: object[], answer: ReturnType<Bank["answer"]>, more: Parameters<typeof runPlain>[1] = {}): Promise<PlainRun> =>
      runPlain(definition(steps), { continues: continues && often, input: numbers(count) as Json, answer, ...more });

    test.each([1, 2, 3])("that a `try` has undone %s times are paid once in the end", async (times) => {
      const bank = new Bank();
      const ended = await run([undoing(4, [each([pay, toolOnce("may")], how)])], bank.answer(failing(`t.each${bad}.may`, times)));
      expect(ended.end.result.status).toBe("completed");
      expect(bank.wrong(true)).toEqual([]);
      expect(keysOf(ended, `t.each${bad}.pay`)).toEqual(
        ["", "#2", "#3", "#4"].slice(0, times + 1).map((again) => `t.each${bad}.pay${again}`),
      );
      expect(allPorts(ended.port).flatMap(({ collisions }) => collisions)).toEqual([]);
      // Told as another attempt each time: the record takes the same one once.
      const refunded = ended.port.log.filter(({ type, step }) => type === "step.completed" && step === `t.each${bad}.pay.compensate.undo`);
      expect(refunded).toHaveLength(times);
    });

    test("that were finished and undone are done again, those with nothing to undo are kept", async () => {
      const bank = new Bank();
      const late = failing(`t.each${bad}.may`);
      const items = each([toolOnce("look"), { ...pay, if: "${index % 2 == 0}" }, toolOnce("may")], how);
      const answer = bank.answer((path) => {
        const given = late(path);
        return given && { ...given, afterMs: 60_000 };
      });
      const ended = await run([undoing(2, [items])], answer);
      expect(ended.end.result.status).toBe("completed");
      expect(bank.wrong(true)).toEqual([]);
      expect(bank.size).toBe(count);
      expect(keysOf(ended, "[1].look")).toHaveLength(1);
    });

    test("are kept when the `foreach` is tried again: nothing has undone them", async () => {
      const bank = new Bank();
      const ended = await run([each([pay, toolOnce("may")], { ...how, ...attempts(4) })], bank.answer(failing(`each${bad}.may`, 3)));
      expect(ended.end.result.status).toBe("completed");
      expect(bank.wrong(true)).toEqual([]);
      expect(bank.size).toBe(count);
      expect(new Set(keysOf(ended, ".pay")).size).toBe(count);
    });

    test("are kept when a person says retry", async () => {
      const bank = new Bank();
      const ended = await run([each([pay, toolOnce("may")], { ...how, onError: "park" })], bank.answer(failing(`each${bad}.may`)), {
        steer: (walk, port) => {
          port.heard = ({ type }) => {
            if (type === "step.parked")
              port.at(port.now() + 10, () => void walk.attention.attend({ path: "each", action: "retry", by: "ada" }));
          };
        },
      });
      expect(ended.end.result.status).toBe("completed");
      expect(bank.wrong(true)).toEqual([]);
      expect(new Set(keysOf(ended, ".pay")).size).toBe(count);
    });

    test("stand when a `try` without `undo` takes the error", async () => {
      const bank = new Bank();
      const caught = { id: "t", type: "try", steps: [each([pay, toolOnce("may")], how)], catch: [{ steps: [toolOnce("mend")] }] };
      const ended = await run([caught], bank.answer(failing(`t.each${bad}.may`)));
      expect(ended.end.result.status).toBe("completed");
      expect(keysOf(ended, ".undo")).toEqual([]);
    });

    test("are all undone when the run fails, each once", async () => {
      const bank = new Bank();
      const ended = await run([each([pay, toolOnce("may")], how)], bank.answer(failing(`each${bad}.may`)));
      expect(ended.end.result.status).toBe("failed");
      expect(bank.wrong(false)).toEqual([]);
      expect(keysOf(ended, ".undo")).toHaveLength(bank.size);
    });

    test("are all undone when the run is cancelled meanwhile, also those under way", async () => {
      const bank = new Bank();
      const ended = await run([each([pay, { id: "w", type: "wait", duration: "1h" }], how)], bank.answer(), {
        steer: (walk, port) => port.at(500, () => walk.cancel("enough")),
      });
      expect(ended.end.result.status).toBe("canceled");
      expect(bank.size).toBeGreaterThan(1);
      expect(bank.wrong(false)).toEqual([]);
    });

    test("that undid themselves go on counting, and what the run undoes after that counts on", async () => {
      const bank = new Bank();
      const own = { id: "own", type: "try", undo: true, ...attempts(2), steps: [pay, toolOnce("may")], catch: [{ steps: [raise] }] };
      const ended = await run([undoing(2, [each([own], how)])], bank.answer(failing(`t.each${bad}.own.may`, 2)));
      expect(ended.end.result.status).toBe("completed");
      expect(bank.wrong(true)).toEqual([]);
      expect(keysOf(ended, `t.each${bad}.own.pay`)).toEqual(["", "#2", "#3"].map((again) => `t.each${bad}.own.pay${again}`));
    });

    test("that undid themselves once and are undone by the run after that are undone twice", async () => {
      const bank = new Bank();
      const own = { id: "own", type: "try", undo: true, ...attempts(2), steps: [pay, toolOnce("may")], catch: [{ steps: [raise] }] };
      const fails = [failing(`t.each${bad}.own.may`), failing(`t.each${bad}.later`)];
      const steps = [undoing(2, [each([own, toolOnce("later")], how)])];
      const ended = await run(
        steps,
        bank.answer((path) => fails[0]!(path) ?? fails[1]!(path)),
      );
      expect(ended.end.result.status).toBe("completed");
      expect(bank.wrong(true)).toEqual([]);
      const again = ["", "#2", "#3"];
      expect(keysOf(ended, `t.each${bad}.own.pay`)).toEqual(again.map((round) => `t.each${bad}.own.pay${round}`));
      expect(keysOf(ended, `t.each${bad}.own.pay.compensate.undo`)).toHaveLength(2);
    });

    test("are done again by a retry of the run, which goes on counting", async () => {
      const bank = new Bank();
      const answer = bank.answer(failing(`each${bad}.may`, 3));
      let last = await run([each([pay, toolOnce("may")], how)], answer);
      for (const status of ["failed", "failed", "completed"]) {
        expect(bank.wrong(false)).toEqual([]);
        last = await run([each([pay, toolOnce("may")], how)], answer, { retryOf: last });
        expect(last.end.result.status).toBe(status);
      }
      expect(bank.wrong(true)).toEqual([]);
      expect(keysOf(last, `each${bad}.pay`)).toEqual([`each${bad}.pay#4`]);
    });

    test("and what undoes them see the run that has done them, also when a retry undoes them", async () => {
      const ref = { ref: "${run.id} ${run.parentId} ${run.startedAt}" };
      const reads = toolOnce("pay", { arguments: ref, compensate: [toolOnce("undo", { arguments: ref })] });
      const seen: [path: string, ref: unknown][] = [];
      const answer = (path: string, fields: unknown): Answer => {
        const { arguments: args } = fields as { arguments: { ref?: string } };
        if (args.ref !== undefined) seen.push([path, args.ref]);
        const isFirst = path.endsWith("undo") && seen.filter(([other]) => other === path).length === 1;
        return path.endsWith(`${bad}.may`) || isFirst ? boom : { output: path };
      };
      const steps = [{ ...reads, id: "first" }, each([reads, toolOnce("may")], how)];
      const first = await run(steps, answer);
      const { error } = (await run(steps, answer, { retryOf: first })).end;
      expect(error).toMatchObject({ instance: `each${bad}.may` });
      expect(error).not.toHaveProperty("unresolved");
      expect(seen.filter(([path]) => path.endsWith("undo")).length).toBeGreaterThan(4);
      // What the first run did not come to, or cut off, the retry does itself.
      const done = new Map(seen.filter(([path]) => !path.endsWith("undo")).map(([path, each]) => [path, each]));
      // The last ten are the retry's.
      for (const [path, each] of seen.slice(-10)) expect([path, each]).toEqual([path, done.get(path.replace(".compensate.undo", ""))]);
      expect(new Set(seen.map(([, each]) => each)).size).toBeLessThanOrEqual(2);
      expect(done.get("first")).toContain("r_00000000000000000000000000 ");
      expect(seen.at(-1)).toEqual(["first.compensate.undo", done.get("first")]);
    });

    test("of a retry whose `foreach` is tried again keep what stands, and do again what was undone", async () => {
      const bank = new Bank();
      const answer = bank.answer(failing(`t.each${bad}.may`, 3));
      const steps = [undoing(1, [each([pay, toolOnce("may")], { ...how, ...attempts(2) })])];
      const first = await run(steps, answer);
      expect(first.end.result.status).toBe("failed");
      const second = await run(steps, answer, { retryOf: first });
      expect(second.end.result.status).toBe("completed");
      expect(bank.wrong(true)).toEqual([]);
      expect(new Set(keysOf(second, `t.each${bad}.pay`))).toEqual(new Set([`t.each${bad}.pay#2`]));
    });
  });
});

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const isolated = { isolate: true, concurrency: 3 };
  const run = (steps: object[], answer: ReturnType<Bank["answer"]>, more: Parameters<typeof runPlain>[1] = {}): Promise<PlainRun> =>
    runPlain(definition(steps), { continues, input: numbers(4) as Json, answer, ...more });
  /** Ends the window of the second item while it waits. */
  const terminating = (_: unknown, port: PlainPort): void =>
    port.at(500, () =>
      allPorts(port)
        .find(({ run: id }) => id.endsWith("each-from1"))!
        .terminate(),
    );
  const wait = { id: "w", type: "wait", duration: "1s" };

  test.each([1, 2])("windows within windows, undone %s times, are paid once in the end", async (times) => {
    const bank = new Bank();
    const inner = { id: "inner", type: "foreach", items: "${[0, 1, 2]}", steps: [pay, toolOnce("may")], ...isolated };
    const ended = await run([undoing(3, [each([inner, toolOnce("after")], isolated)])], bank.answer(failing("t.each[2].after", times)));
    expect(ended.end.result.status).toBe("completed");
    expect(bank.wrong(true)).toEqual([]);
    expect(bank.size).toBeGreaterThan(12);
    const failed = await run([each([inner, toolOnce("after")], isolated)], bank.answer(failing("each[2].inner[1].may")));
    expect(failed.end.result.status).toBe("failed");
    const again = await run([each([inner, toolOnce("after")], isolated)], bank.answer(), { retryOf: failed });
    expect(again.end.result.status).toBe("completed");
    expect(bank.wrong(true)).toEqual([]);
  });

  test("what a terminated window did stands when the `foreach` is tried again", async () => {
    const bank = new Bank();
    const ended = await run([each([pay, wait], { ...isolated, ...attempts(2) })], bank.answer(), { steer: terminating });
    expect(ended.end.result.status).toBe("completed");
    expect(keysOf(ended, ".pay")).toEqual(numbers(4).map((n) => `each[${n}].pay`));
  });

  test("what a terminated window did is undone when the run fails", async () => {
    const bank = new Bank();
    const ended = await run([each([pay, wait], isolated)], bank.answer(), { steer: terminating });
    expect(ended.end.result.status).toBe("failed");
    expect(bank.size).toBeGreaterThan(0);
    expect(bank.wrong(false)).toEqual([]);
  });

  test("what could not be undone stands, is named, and is kept by the next attempt", async () => {
    const bank = new Bank();
    const fails = [failing("t.each[3].may"), failing("t.each[0].pay.compensate.undo")];
    const ended = await run(
      [undoing(2, [each([pay, toolOnce("may")], { ...isolated, concurrency: 1 })])],
      bank.answer((path) => fails[0]!(path) ?? fails[1]!(path)),
    );
    expect(ended.end.result.status).toBe("completed");
    expect(bank.wrong(true)).toEqual([]);
    expect(keysOf(ended, "each[0].pay")).toEqual(["t.each[0].pay"]);
  });
});
