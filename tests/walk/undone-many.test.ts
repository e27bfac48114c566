import { expect, test } from "@jest/globals";
import { limits } from "../../contracts/limits.ts";
import { casesOf } from "../cases.ts";
import { Bank } from "./bank.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";
import { boom } from "./answers.ts";
import { definition, payOnce, toolOnce } from "./steps.ts";

const count = casesOf(limits.foreachItemsMax, "UNDONE");
const input = Array.from({ length: count }, (_, n) => n);
const pay = payOnce();
const steps = [{ id: "each", type: "foreach", items: "${input}", concurrency: 200, steps: [pay] }, toolOnce("bad")];

/** One in three cannot be undone: nothing of it is alike for long. */
const isLeft = (path: string): boolean => path.endsWith("undo") && Number(/\[(\d+)\]/.exec(path)![1]) % 3 === 0;

test(`of ${count} items most are undone, and paid again by a retry under other keys; what the run must remember stays small`, async () => {
  const bank = new Bank();
  let isBad = true;
  const answer = bank.answer((path) => ((path === "bad" && isBad) || isLeft(path) ? boom : undefined));
  const run = (more: object = {}): Promise<PlainRun> => runPlain(definition(steps), { continues: 2_000, input, answer, ...more });
  const first = await run();
  expect(first.end.error).toMatchObject({ type: "tool", instance: "bad" });
  expect(JSON.stringify(first.end.error).length).toBeLessThan(20_000);
  expect(bank.wrong(false)).toHaveLength(Math.ceil(count / 3));
  expect(first.executions).toBeGreaterThan(count / 2_500);
  expect(first.port.stateBytes).toBeLessThan(limits.stateBytesMax / 2);
  isBad = false;
  const second = await run({ retryOf: first });
  expect(second.end.result.status).toBe("completed");
  expect(bank.wrong(true)).toEqual([]);
  expect(bank.size).toBe(count + Math.floor((count * 2) / 3));
  expect(JSON.stringify(second.walk.state()).length).toBeLessThan(limits.stateBytesMax / 2);
}, 1_200_000);
