import { expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import { jsonBytes } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain } from "../tests/walk/run-plain.ts";
import { definition, tool } from "../tests/walk/steps.ts";
import { Inspector } from "./inspector.ts";

const rowsOf = (shown: string): string[] => shown.split("\n").filter((line) => line.startsWith("| ["));
const answer = () => ({ output: 1, afterMs: 100 });

/** What was shown at a moment of a run that waits for it. */
async function shownAt(ms: number, steps: object[], more: object = {}): Promise<string> {
  let shown = "";
  await runPlain(definition(steps, more), {
    answer,
    steer: (walk, port) => {
      port.at(ms, () => (shown = port.shown));
      port.at(ms + 1, () => walk.cancel("seen"));
    },
  });
  return shown;
}

/** An inspector on its own, and where it shows. */
function alone(title = "T"): { inspector: Inspector; shown: () => string } {
  let shown = "";
  const port = { now: () => 0, show: (text: string) => (shown = text), pageOf: (id: string) => `runs/${id}`, pageOfNow: () => "now" };
  const about = {
    plan: { title, name: "test", version: "1.0.0" },
    run: { id: "r_1", parentId: "r_0", startedBy: "ada" },
    origin: { run: "r_9", kind: "retry" },
  };
  const inspector = new Inspector(port as unknown as PlainPort, about as never);
  return { inspector, shown: () => (inspector.show("waiting"), shown) };
}

test("each step links to its events and says how long it took, or since when it runs", async () => {
  const shown = await shownAt(150, [tool("a"), tool("b")]);
  expect(rowsOf(shown)).toEqual([
    "| [`a`](now/0) | tool | completed | 1 | 100 ms |",
    "| [`b`](now/100) | tool | running | 1 | since 1970-01-01 00:00:00 UTC |",
  ]);
});

test("what the run waits for stands above the table, and the step is waiting", async () => {
  const shown = await shownAt(150, [tool("a"), { id: "w", type: "wait", duration: "1h" }]);
  expect(shown).toContain("- `w` waits for the time 1970");
  expect(rowsOf(shown).at(-1)).toContain("| wait | waiting | 1 | since");
});

test("who paused the run stands above the table", async () => {
  let shown = "";
  await runPlain(definition([tool("a"), tool("b")]), {
    answer,
    steer: (walk, port) => {
      port.at(50, () => void walk.pause.pause({ by: "ada", scope: "run", timers: "run", why: "look\n\n| first" }));
      port.at(200, () => (shown = port.shown));
      port.at(300, () => void walk.pause.resume({ by: "ada", scope: "run" }));
    },
  });
  expect(shown).toContain("1.0.0 · **paused**");
  expect(shown).toMatch(/^- paused \(run\) by ada since .*: look \\\| first$/m);
});

test("a run that failed says why", async () => {
  const { port } = await runPlain(definition([tool("a")]), { answer: () => ({ problem: makeProblem("tool", "out | of order") }) });
  expect(port.shown).toMatch(/\*\*failed\*\*\n\n- out \\\| of order\n/);
});

test("a child step links to the child's page", async () => {
  const shown = await shownAt(50, [{ id: "c", type: "workflow", workflow: "other", input: {} }]);
  expect(rowsOf(shown)[0]).toMatch(/^\| \[`c`\]\(runs\/.+\.c\) \| workflow \| running/);
});

test("parent and origin are linked", () => {
  const { shown } = alone();
  expect(shown()).toContain("- retry of [r_9](runs/r_9)\n- child of [r_0](runs/r_0)");
});

test("no Markdown that people wrote is taken for ours", async () => {
  const { inspector, shown } = alone("**bold** | `x` <b>");
  const evil = "a\n\n| b | [link](http://evil) <img src=x> `code` **b**";
  const seen = await inspector.waiting("ask", evil, async () => shown());
  expect(seen).toContain("**\\*\\*bold\\*\\* \\| \\`x\\` \\<b\\>** · test 1.0.0");
  expect(seen).toContain("- `ask` waits for a \\| b \\| \\[link\\](http\\://evil) \\<img src=x\\> \\`code\\` \\*\\*b\\*\\*\n");
});

test("of many steps the open ones and the last are shown, within the limit of bytes", () => {
  const { inspector, shown } = alone();
  inspector.set("first", "tool", "running");
  for (let n = 0; n < 500; n++) inspector.set(`step${n}_${"x".repeat(100)}`, "tool", "completed");
  const rows = rowsOf(shown());
  expect(rows[0]).toContain("`first`");
  expect(rows.at(-1)).toContain("`step499_");
  expect(jsonBytes(shown())).toBeLessThanOrEqual(limits.detailsBytesMax + 200);
  expect(inspector.rows()).toHaveLength(limits.detailsRowsMax + 1);
});

test("what guardrails decided stands beside the status, each once", () => {
  const { inspector, shown } = alone();
  inspector.set("a", "llm", "running");
  inspector.note("a", ["cards: fix"]);
  inspector.note("a", ["cards: fix", "polite: retry"]);
  inspector.note("gone", ["x: fix"]);
  inspector.set("a", "llm", "completed");
  expect(rowsOf(shown())).toEqual(["| [`a`](now) | llm | completed · cards: fix · polite: retry | 1 | 0 ms |"]);
});

test("items leave when they are done, windows stay", () => {
  const { inspector } = alone();
  for (const path of ["each[0].a", "each[0+]"]) {
    inspector.set(path, "tool", "running");
    inspector.set(path, "tool", "completed");
  }
  expect(inspector.rows().map(([path]) => path)).toEqual(["each[0+]"]);
});
