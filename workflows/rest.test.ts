import { describe, expect, test } from "@jest/globals";
import type { Answer } from "../tests/walk/plain-port.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";

const tool = (id: string) => ({ id, type: "tool", tool: "test.echo", arguments: {} });
const wait = (duration: string) => ({ id: "w", type: "wait", duration });
const calls = ({ port }: PlainRun, what: string): string[] => port.trace.filter((told) => told.what === what).map(({ path }) => path);
const slowly =
  (...slow: string[]) =>
  (path: string): Answer => ({ output: path, afterMs: slow.includes(path) ? 60_000 : 0 });

/** Met by `quick`; the other branch is what it leaves. */
const left = (steps: object[], rest = "finish") => ({
  id: "p",
  type: "parallel",
  join: "any",
  rest,
  branches: { quick: [tool("a")], slow: steps },
});

describe.each([false, true])("in what a met join has left, with continue-as-new after every step: %s,", (continues) => {
  const run = (steps: object[], answer?: (path: string) => Answer): Promise<PlainRun> =>
    runPlain({ name: "test", version: "1.0.0", steps }, { continues, ...(answer ? { answer } : {}) });

  test.each(["completed", "failed", "canceled"])("`end` ends the run as %s, and cancels what runs beside it", async (status) => {
    const end = { id: "e", type: "end", status, output: "over" };
    const ended = await run([left([wait("5s"), end]), tool("long"), tool("never")], slowly("long"));
    expect(ended.end.result).toMatchObject({ status, output: "over" });
    expect([ended.port.now(), calls(ended, "cancel"), calls(ended, "start")]).toEqual([5_000, ["long"], ["p.quick.a", "long"]]);
  });

  test("`end` cancels the other branches that are left, and waits for their `finally` and for that of the steps behind", async () => {
    const tidied = (id: string) => ({ id, type: "try", steps: [wait("1h")], finally: [tool("first"), tool("second")] });
    const end = { id: "e", type: "end", output: "over" };
    const three = { ...left([wait("5s"), end]), maxConcurrency: 3 };
    const parallel = { ...three, branches: { ...three.branches, third: [tidied("t")] } };
    const ended = await run([{ id: "s", type: "sequence", steps: [parallel, tidied("behind")] }, tool("never")]);
    expect(ended.end.result).toMatchObject({ status: "completed", output: "over" });
    expect(calls(ended, "start").toSorted()).toEqual([
      "s.behind.finally.first",
      "s.behind.finally.second",
      "s.p.quick.a",
      "s.p.third.t.finally.first",
      "s.p.third.t.finally.second",
    ]);
  });

  test("an error is nobody's matter, and `end` in what was cancelled is not heard", async () => {
    const raise = { id: "no", type: "raise", error: { type: "odd" } };
    const unheard = { id: "t", type: "try", steps: [wait("1h")], finally: [{ id: "e", type: "end", output: "over" }] };
    const ended = await run([left([wait("5s"), raise]), { ...left([unheard], "cancel"), id: "q" }, tool("after")]);
    expect(ended.end.result).toMatchObject({ status: "completed", output: "after" });
  });

  test.each(["finish", "cancel"])("a defect is one of the run: `rest: %s`", async (rest) => {
    const breaks = (path: string): Answer => {
      if (path.endsWith("breaks")) throw new TypeError("a bug of ours");
      return slowly("long")(path);
    };
    const tidies = { id: "t", type: "try", steps: [wait("5s")], finally: [tool("breaks")] };
    await expect(run([left([tidies], rest), tool("long")], breaks)).rejects.toThrow("a bug of ours");
  });
});
