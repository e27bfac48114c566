import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { LockAsk } from "../contracts/locks.ts";
import { limits } from "../contracts/limits.ts";
import { LockLine, type Word } from "./lock-line.ts";
import { casesOf } from "../tests/cases.ts";

const ask = (run: string, more: Partial<LockAsk> = {}): LockAsk => ({ run, ticket: "t", limit: 1, onLimit: "queue", ...more });
const said = (words: Word[]): string[] => words.map(({ to, state }) => `${state} ${to.run}`);

test("the first holds, the others wait, and each goes when the one before it is done", () => {
  const line = new LockLine("lock k");
  expect(["a", "b", "c"].map((run) => said(line.ask(ask(run))))).toEqual([["granted a"], ["waiting b"], ["waiting c"]]);
  expect(said(line.release({ run: "a", ticket: "t" }))).toEqual(["granted b"]);
  expect(said(line.forget("b"))).toEqual(["granted c"]);
});

test("asking twice is asking once", () => {
  const line = new LockLine("lock k");
  expect([line.ask(ask("a")), line.ask(ask("a"))].map(said)).toEqual([["granted a"], ["granted a"]]);
  expect([line.ask(ask("b")), line.ask(ask("b"))].map(said)).toEqual([["waiting b"], ["waiting b"]]);
  expect(line.state).toMatchObject({ holders: [{ run: "a" }], line: [{ run: "b" }] });
});

test("who leaves the line is not let in", () => {
  const line = new LockLine("lock k");
  for (const run of ["a", "b", "c"]) line.ask(ask(run));
  expect(said(line.release({ run: "b", ticket: "t" }))).toEqual([]);
  expect(said(line.release({ run: "a", ticket: "t" }))).toEqual(["granted c"]);
});

test("who finds the line full waits without a place, unless it does not want to wait", () => {
  const line = new LockLine("lock k");
  for (const run of ["a", "b"]) line.ask(ask(run));
  line.ask(ask("long", { ticket: "x".repeat(limits.lockLineBytesMax / 3) }));
  expect(said(line.ask(ask("late")))).toEqual(["waiting late"]);
  expect(line.state.line.map(({ run }) => run)).toEqual(["b", "long"]);
  expect(line.ask(ask("hasty", { onLimit: "reject" }))).toMatchObject([{ state: "refused", problem: { code: "concurrency" } }]);
  // It asks again, when there is room.
  line.forget("long");
  expect([said(line.ask(ask("late"))), line.state.line.length]).toEqual([["waiting late"], 2]);
});

test("`reject` waits only until the holders have been looked at", () => {
  const line = new LockLine("key k");
  line.ask(ask("a"));
  const [late, later] = [ask("b", { onLimit: "reject" }), ask("c", { onLimit: "reject" })];
  expect([line.ask(late), line.isDoubted]).toEqual([[], true]);
  line.ask(later);
  expect(line.refuse([late])).toMatchObject([{ to: { run: "b" }, state: "refused", problem: { code: "concurrency" } }]);
  // It asked while the holders were being looked at: it may be that one has ended since.
  expect([said(line.forget("a")), line.isDoubted]).toEqual([["granted c"], false]);
});

test("`cancelOldest` stops as many of the oldest as leaves one place, each once", () => {
  const line = new LockLine("key k");
  const newest = (run: string) => ask(run, { limit: 2, onLimit: "cancelOldest" });
  expect(["a", "b"].map((run) => said(line.ask(newest(run))))).toEqual([["granted a"], ["granted b"]]);
  expect(said(line.ask(newest("c")))).toEqual(["waiting c", "stop a"]);
  expect(said(line.ask(newest("d")))).toEqual(["waiting d", "stop b"]);
  expect(said(line.ask(newest("e")))).toEqual(["waiting e", "stop c"]);
  expect(said(line.forget("a"))).toEqual(["granted c"]);
});

test("whatever happens: never more holders than the last let in allows, in the order of asking, nobody forgotten", () => {
  const runs = ["a", "b", "c", "d", "e", "f"];
  const step = fc.tuple(fc.constantFrom("ask", "release", "forget", "carry"), fc.constantFrom(...runs), fc.constantFrom(1, 2, 3));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let line = new LockLine("k");
      const inOrder: string[] = [];
      for (const [what, run, limit] of steps) {
        const before = line.state.holders.map((holder) => holder.run);
        const isKnown = [...before, ...line.state.line.map((other) => other.run)].includes(run);
        if (what === "carry") line = new LockLine("k", JSON.parse(JSON.stringify(line.state)));
        else if (what === "ask" && !isKnown) inOrder.push(run);
        else if (what !== "ask" && isKnown) inOrder.splice(inOrder.indexOf(run), 1);
        const words = act(line, { what, run, limit });
        const { holders, line: waiting } = line.state;
        for (const { to } of words.filter(({ state }) => state === "granted"))
          if (!before.includes(to.run)) expect(holders.indexOf(to)).toBeLessThan(to.limit);
        expect([...holders, ...waiting].map((place) => place.run)).toEqual(inOrder);
        const [head] = waiting;
        if (head) expect(holders.length).toBeGreaterThanOrEqual(head.limit);
      }
    }),
    { numRuns: casesOf(5_000) },
  );
});

function act(line: LockLine, { what, run, limit }: { what: string; run: string; limit: number }): Word[] {
  if (what === "ask") return line.ask(ask(run, { limit }));
  if (what === "release") return line.release({ run, ticket: "t" });
  return what === "forget" ? line.forget(run) : [];
}
