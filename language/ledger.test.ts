import { describe, expect, test } from "@jest/globals";
import type { Origin } from "../contracts/messages.ts";
import { readDefinitionValue } from "./index.ts";
import { keep, keptPaths, originOfChild, type Kept, type LoggedStep } from "./ledger.ts";
import type { Plan } from "./plan.ts";
import { isPlace, nearestPath, prefixesOf } from "./step-path.ts";

const set = (id: string, more: object = {}) => ({ id, type: "set", values: 1, ...more });

const planOf = (...steps: object[]): Plan => {
  const read = readDefinitionValue({ name: "t", version: "1.0.0", steps }, { hashOf: () => "hash" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.plan;
};

/** `path` completed, `path!` failed, `path?` caught, `path~` compensated, `path-` canceled. */
const log = (...words: string[]): LoggedStep[] =>
  words.map((word) => ({
    path: word.replace(/[!?~-]$/, ""),
    status: word.endsWith("!") ? "failed" : word.endsWith("-") ? "canceled" : "completed",
    isCaught: word.endsWith("?"),
    isUndone: word.endsWith("~"),
  }));

const kept = (plan: Plan, steps: LoggedStep[], origin: Partial<Origin> = {}, before = plan): Kept & { paths: string[] } => {
  const result = keep({ plan, before, steps, origin: { run: "r_x", kind: "fork", ...origin } });
  return { ...result, paths: result.entries.map(({ path }) => path) };
};

describe("what is kept of a log", () => {
  const call = (more: object = {}) => ({ id: "c", type: "tool", tool: "t", arguments: {}, ...more });
  const other = { timeout: "7m", retry: { maxAttempts: 9 }, summary: "other", lock: { key: "k" } };

  test("is a finished step whatever becomes of how long it may take, how often it is tried, and what people read, deep in a scope too", () => {
    const around = (more: object = {}) => planOf({ id: "s", type: "sequence", steps: [call(more)] }, { ...call(more), id: "d" }, set("b"));
    expect(kept(around(other), log("s.c", "s", "d"), {}, around())).toMatchObject({ paths: ["s", "d"], run: ["b"] });
    expect(kept(around({ arguments: { n: 1 } }), log("s.c", "s", "d"), {}, around()).paths).toEqual([]);
    expect(kept(around({ retry: { while: "${output == 1}" } }), log("s.c", "s", "d"), {}, around()).paths).toEqual([]);
  });

  test("is not one that was caught, when that may have come of how long it was given", () => {
    const around = (more: object = {}) => planOf({ id: "s", type: "sequence", steps: [call({ ...more, catch: [{ steps: [set("m")] }] })] });
    expect(kept(around(), log("s.c?", "s")).paths).toEqual(["s"]);
    expect(kept(around({ timeout: "7m" }), log("s.c?", "s"), {}, around()).paths).toEqual([]);
  });

  test("is every finished step, scopes as wholes", () => {
    const plan = planOf(set("a"), { id: "s", type: "sequence", steps: [set("x"), set("y")] }, set("b"));
    expect(kept(plan, log("a", "s.x", "s.y", "s"))).toMatchObject({ paths: ["a", "s"], run: ["b"] });
  });

  test("leaves out what failed and what needs it, and keeps what stands beside it", () => {
    const plan = planOf(set("a"), set("b", { onError: "continue" }), set("c"), set("d", { needs: ["a"] }));
    expect(kept(plan, log("a", "b!", "c", "d"))).toMatchObject({ paths: ["a", "d"], run: ["b", "c"] });
  });

  test("opens a scope in which an error was let pass", () => {
    const items = { id: "each", type: "foreach", items: [1, 2], onItemError: "collect", steps: [set("x"), set("y")] };
    const plan = planOf(items, set("z"));
    const steps = log("each[0].x", "each[0].y", "each[1].x", "each[1].y!", "each", "z");
    expect(kept(plan, steps)).toMatchObject({ paths: ["each[0].x", "each[0].y", "each[1].x"], run: ["each[1].y", "z"] });
  });

  test("does not open a scope whose join could spare what failed, nor a `try` that handled it", () => {
    const race = { id: "race", type: "parallel", join: "any", branches: { l: [set("x")], r: [set("x")] } };
    const attempt = { id: "try", type: "try", steps: [set("x")], catch: [{ steps: [set("y")] }] };
    const plan = planOf(race, attempt);
    expect(kept(plan, log("race.l.x!", "race.r.x", "race", "try.x!", "try.catch0.y", "try"))).toMatchObject({
      paths: ["race", "try"],
      run: [],
    });
  });

  test("keeps a join whose rest had not ended, and of the rest what is over and what can be kept", () => {
    const steps = [set("x"), set("y")];
    const branches = { won: steps, lost: steps, open: steps, none: steps };
    const plan = planOf({ id: "p", type: "parallel", join: "any", rest: "finish", branches }, set("next"), set("bad"));
    const words = ["p.won.x", "p.won.y", "p.lost.x!", "p.open.x", "p.open.y-", "p", "next", "bad!"];
    const result = kept(plan, log(...words));
    expect(result).toMatchObject({
      paths: ["p", "p.open.x", "next"],
      over: ["p.won", "p.lost"],
      run: ["p.open.y", "p.none.x", "p.none.y", "bad"],
    });
    expect(result.entries.map(({ hasRest }) => hasRest)).toEqual([true, undefined, undefined]);
    expect(["p", "p.won.x", "p.lost.x", "p.open.x", "p.open.y"].map(keptPaths(result))).toEqual([true, true, true, true, false]);
    const ended = kept(plan, log(...words, "p.open.y", "p.none.x", "p.none.y"));
    expect(ended).toMatchObject({ paths: ["p", "next"], over: [], run: ["bad"] });
  });

  test("keeps a `try` that has undone itself before its handler, not one that was undone after it", () => {
    const plan = planOf({ id: "try", type: "try", undo: true, steps: [set("x"), set("y")], catch: [{ steps: [set("z")] }] });
    expect(kept(plan, log("try.x~", "try.y!", "try.catch0.z", "try"))).toMatchObject({ paths: ["try"], run: [] });
    expect(kept(plan, log("try.x~", "try.y!", "try.catch0.z~", "try"))).toMatchObject({ paths: [], run: ["try.x", "try.y"] });
    // Its handler belongs to an attempt before.
    expect(kept(plan, log("try.x~", "try.y", "try.catch0.z", "try"))).toMatchObject({ paths: [], run: ["try.x", "try.y"] });
  });

  test("leaves out what was compensated, also in a scope", () => {
    const plan = planOf({ id: "s", type: "sequence", steps: [set("x"), set("y", { needs: [] })] }, set("b", { needs: [] }));
    expect(kept(plan, log("s.x~", "s.y", "s", "b"))).toMatchObject({ paths: ["s.y", "b"], run: ["s.x"] });
  });

  test("leaves out a compensated scope with all that it did, and starts a compensated child anew", () => {
    const scope = { id: "s", type: "sequence", steps: [set("x")], compensate: [set("undo")] };
    const child = { id: "call", type: "workflow", workflow: "w", compensate: [set("undo")] };
    const result = kept(planOf(scope, child), log("s.x", "s~", "call~"));
    expect(result).toMatchObject({ paths: [], children: [], run: ["s", "call"] });
  });

  test("leaves out handlers of a scope that runs again", () => {
    const plan = planOf({ id: "try", type: "try", steps: [set("w"), set("x")], catch: [{ steps: [set("y"), set("z")] }] });
    expect(kept(plan, log("try.w", "try.x!", "try.catch0.y", "try.catch0.z!", "try!"))).toMatchObject({ paths: ["try.w"], run: ["try.x"] });
  });

  test("of a loop ends with the first iteration that is not whole", () => {
    const plan = planOf({ id: "l", type: "loop", maxIterations: 9, until: "${false}", steps: [set("x"), set("y")] });
    const steps = log("l[0].x", "l[0].y", "l[1].x", "l[1].y", "l[2].x", "l[2].y", "l!");
    expect(kept(plan, steps, { from: ["l[1].y"] }).paths).toEqual(["l[0].x", "l[0].y", "l[1].x"]);
  });

  test("is an agent's turn whose model was told of a call that failed", () => {
    const plan = planOf({ id: "clerk", type: "agent", prompt: "Go.", tools: ["files.list"] }, set("b"));
    const turn = (index: number, call: string): string[] =>
      ["shorten", "think", `act[0].${call}`, "act"].map((step) => `clerk[${index}].${step}`);
    const turns = ["clerk.brief", ...turn(0, "call!"), ...turn(1, "call")];
    expect(kept(plan, log(...turns, "clerk", "b!"))).toMatchObject({ paths: ["clerk"], run: ["b"] });
    expect(kept(plan, log(...turns, "clerk[2].think!", "clerk!")).paths).toContain("clerk[1].act");
    // As long as it was not told, another attempt may do better.
    expect(kept(plan, log("clerk.brief", ...turn(0, "call!").slice(0, -1))).run).toContain("clerk[0].act[0].call");
    expect(kept(plan, log(...turns, "clerk[1].act[1].call~", "clerk", "b!")).run).toContain("clerk[1].act[1].call");
  });

  test("names the children that had not finished", () => {
    const plan = planOf({ id: "call", type: "workflow", workflow: "w" });
    expect(kept(plan, log("call!"))).toMatchObject({ children: ["call"], run: ["call"] });
    expect(kept(plan, log("call"), { from: ["call/x"] })).toMatchObject({ children: ["call"], run: ["call"] });
    expect(kept(plan, log("call"), { from: ["call"] })).toMatchObject({ children: [], run: ["call"] });
  });
});

describe("a foreach in windows", () => {
  const plan = planOf(set("a"), { id: "each", type: "foreach", items: [1], onItemError: "collect", steps: [set("x"), set("y")] }, set("b"));
  const children = new Map([
    ["each[0+]", "r_0"],
    ["each[2+]", "r_2"],
  ]);
  const items = log("a", "each[0].x", "each[0].y", "each[1].x", "each[1].y", "each[2].x", "each[2].y!");
  const ask = (words: LoggedStep[], more: object = {}): Kept => keep({ plan, before: plan, steps: words, origin, children, ...more });
  const origin: Origin = { run: "r_x", kind: "retry" };

  test("is kept as a whole when no item was bad", () => {
    expect(ask([...items.slice(0, -1), ...log("each[2].y", "each", "b")])).toMatchObject({ children: [], run: [] });
  });

  test("leaves its items to the windows when one was", () => {
    const result = ask([...items, ...log("each", "b")]);
    expect(result).toMatchObject({ children: ["each[0+]", "each[2+]"], run: ["each", "b"] });
    expect(result.entries.map(({ path }) => path)).toEqual(["a"]);
  });

  test("keeps in a window its good items", () => {
    const result = keep({ plan, before: plan, steps: items.slice(5), origin, part: "each" });
    expect(result).toMatchObject({ run: ["each[2].y"] });
    expect(result.entries.map(({ path }) => path)).toEqual(["each[2].x"]);
  });

  test("hands each window what is said of its items", () => {
    const fork: Origin = { run: "r_x", kind: "fork", from: ["each[1].x", "each[7].x"], vars: { v: 1 } };
    const paths = [...children.keys()];
    expect(originOfChild(fork, "each[0+]", "r_0", paths)).toMatchObject({ from: ["each[1].x"], vars: { v: 1 } });
    expect(originOfChild(fork, "each[2+]", "r_2", paths)).toMatchObject({ from: ["each[7].x"] });
  });
});

describe("a fork", () => {
  const scope = { id: "s", type: "sequence", steps: [set("x"), set("y")] };

  test("leaves out its step, what needs it, and what needs the scopes around it", () => {
    const plan = planOf(set("a"), scope, set("b"), set("c", { needs: ["a"] }));
    const all = log("a", "s.x", "s.y", "s", "b", "c");
    expect(kept(plan, all, { from: ["s.y"] })).toMatchObject({ paths: ["a", "s.x", "c"], run: ["s.y", "b"] });
    expect(kept(plan, all, { from: ["s"] })).toMatchObject({ paths: ["a", "c"], run: ["s", "b"] });
  });

  test("leaves out a whole item", () => {
    const plan = planOf({ id: "each", type: "foreach", items: [1, 2], steps: [set("x"), set("y")] });
    const steps = log("each[0].x", "each[0].y", "each[1].x", "each[1].y", "each");
    expect(kept(plan, steps, { from: ["each[1]"] })).toMatchObject({ paths: ["each[0].x", "each[0].y"], run: ["each[1].x", "each[1].y"] });
  });

  test("runs what needs an output put in by hand", () => {
    const plan = planOf(set("a"), set("b"), set("c", { needs: [] }));
    expect(kept(plan, log("a", "b", "c"), { steps: { a: 5 } })).toMatchObject({ paths: ["c"], run: ["b"] });
  });

  test("to another version runs what is new or changed there and what needs it", () => {
    const before = planOf(set("a"), scope, set("b"), set("c", { needs: ["a"] }));
    const after = planOf(
      set("a"),
      { ...scope, steps: [set("x"), set("y", { values: 2 }), set("z")] },
      set("b"),
      set("c", { needs: ["a"] }),
    );
    expect(kept(after, log("a", "s.x", "s.y", "s", "b", "c"), {}, before)).toMatchObject({
      paths: ["a", "s.x", "c"],
      run: ["s.y", "s.z", "b"],
    });
  });

  test("to a version without a step keeps what came after that step", () => {
    expect(kept(planOf(set("a"), set("c")), log("a", "b", "c"), {}, planOf(set("a"), set("b"), set("c")))).toMatchObject({
      paths: ["a", "c"],
      run: [],
    });
  });

  test("to a version with more iterations keeps those there were", () => {
    const loop = (maxIterations: number) => ({ id: "l", type: "loop", maxIterations, until: "${false}", steps: [set("x")] });
    expect(kept(planOf(loop(9)), log("l[0].x", "l[1].x", "l!"), {}, planOf(loop(2))).paths).toEqual(["l[0].x", "l[1].x"]);
  });

  test("hands a child what is said of it", () => {
    const origin: Origin = { run: "r_a", kind: "fork", from: ["call/x", "b", "call2/x"], steps: { "call/in/y": 1, z: 2 } };
    expect(originOfChild(origin, "call", "r_a.call")).toEqual({ run: "r_a.call", kind: "fork", from: ["x"], steps: { "in/y": 1 } });
  });
});

describe("paths", () => {
  const plan = planOf({
    id: "each",
    type: "foreach",
    items: [1],
    steps: [{ id: "pick", type: "switch", cases: [{ when: "${true}", steps: [set("note")] }] }],
  });

  test("name what they stand in", () => {
    expect(prefixesOf("a.b[3].c/d")).toEqual(["a", "a.b", "a.b[3]", "a.b[3].c"]);
  });

  test("exist in the Plan whatever their index", () => {
    expect(["each", "each[7]", "each[7].pick.case0.note"].map((path) => isPlace(plan, path))).toEqual([true, true, true]);
    expect(["eac", "each.pick", "each[0].pick.note"].map((path) => isPlace(plan, path))).toEqual([false, false, false]);
  });

  test("have a nearest one", () => {
    expect(nearestPath(plan, "each[3].pick.case0.nite")).toBe("each[3].pick.case0.note");
    expect(nearestPath(plan, "note")).toBe("each[0].pick.case0.note");
  });
});
