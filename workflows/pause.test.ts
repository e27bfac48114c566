import { describe, expect, test } from "@jest/globals";
import type { Hold, Holds } from "../contracts/holds.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import type { PlainPort } from "../tests/walk/plain-port.ts";
import { definition, tool } from "../tests/walk/steps.ts";
import type { Walk } from "./walk.ts";

const wait = (id: string, duration: string, more: object = {}) => ({ id, type: "wait", duration, ...more });
const started = ({ port }: PlainRun): [string, number][] =>
  port.trace.filter(({ what }) => what === "start").map(({ path, at }) => [path, at]);
const types = ({ port }: PlainRun): string[] => port.log.map(({ type }) => type).filter((type) => /^run\.(paused|resumed)$/.test(type));
const dataOf = ({ port }: PlainRun, type: string): unknown[] => port.log.filter((event) => event.type === type).map(({ data }) => data);

const freeze = { by: "ada", scope: "run", timers: "freeze" } as const;
const halt = { by: "ada", scope: "run", timers: "run" } as const;
const tree = { by: "ada", scope: "tree", timers: "run" } as const;
const resume = { by: "ada", scope: "run" } as const;
const held = (reason: string): Hold => ({ reason, by: "ops", at: "2026-01-01T00:00:00.000Z", timers: "run" });
const word = (source: Holds["source"], version: number, ...reasons: string[]): Holds => ({
  source,
  version,
  by: "ops",
  holds: reasons.map(held),
});
const hour = 3_600_000;

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const run = (steps: object[], steer: (walk: Walk, port: PlainPort) => void, more: object = {}): Promise<PlainRun> =>
    runPlain(definition(steps, more), { continues, steer });
  const held10To5h = (walk: Walk, at: PlainPort): void => {
    at.at(10_000, () => void walk.pause.pause(freeze));
    at.at(5 * hour, () => void walk.pause.resume(resume));
  };

  test("a frozen timer of an hour keeps its remainder", async () => {
    const ended = await run([tool("a"), wait("w", "1h"), tool("b")], held10To5h);
    const [begun] = started(ended)[0]!.slice(1) as [number];
    expect(begun).toBeLessThan(2);
    const b = started(ended).find(([path]) => path === "b")![1];
    expect(b).toBeGreaterThanOrEqual(6 * hour - 10_000);
    expect(b).toBeLessThan(6 * hour - 10_000 + 10);
  });

  test("with `timers: run` a timer ends in its time, and what follows waits for the resume", async () => {
    const ended = await run([tool("a"), wait("w", "1h"), tool("b")], (walk, at) => {
      at.at(10_000, () => void walk.pause.pause(halt));
      at.at(5 * hour, () => void walk.pause.resume(resume));
    });
    expect(started(ended).find(([path]) => path === "b")![1]).toBe(5 * hour);
    expect(dataOf(ended, "run.resumed")).toEqual([{ by: "ada" }]);
  });

  test("a pause that is over in the moment it came leaves a run that waits, not one that runs", async () => {
    const ended = await run([wait("w", "1h")], (walk, at) => {
      at.at(10_000, () => {
        void walk.pause.pause(halt);
        void walk.pause.resume(resume);
      });
    });
    const told = ended.port.log.map(({ type }) => type).filter((type) => type.startsWith("run."));
    expect(told).toEqual(["run.started", "run.waiting", "run.paused", "run.resumed", "run.waiting", "run.completed"]);
  });

  test("deadlines of events and questions, time limits and back-offs stand still", async () => {
    const branches = {
      hear: [{ id: "l", type: "listen", one: { event: "never" }, timeout: "1h", onTimeout: [tool("late")] }],
      ask: [{ id: "q", type: "approval", title: "?", expiresAfter: "1h", onExpire: [tool("late")] }],
      limit: [{ id: "s", type: "sequence", timeout: "1h", steps: [wait("long", "9h")], catch: [{ steps: [tool("late")] }] }],
      again: [
        {
          id: "r",
          type: "sequence",
          retry: { maxAttempts: 2, initialInterval: "1h", jitter: 0 },
          steps: [{ id: "no", type: "raise", error: { type: "odd" } }],
          catch: [{ steps: [tool("late")] }],
        },
      ],
    };
    const ended = await run([tool("first"), { id: "p", type: "parallel", branches }], held10To5h);
    const late = started(ended).filter(([path]) => path.endsWith("late"));
    expect(late).toHaveLength(4);
    for (const [, at] of late) expect(Math.abs(at - (6 * hour - 10_000))).toBeLessThan(20);
  });

  test("a step whose turn at a lock comes while the run is paused does not begin", async () => {
    const lock = { lock: { key: "k" } };
    const branches = {
      first: [{ id: "s", type: "sequence", ...lock, steps: [wait("w", "1s")] }],
      second: [wait("w", "500ms"), tool("a", lock)],
    };
    const ended = await run([{ id: "p", type: "parallel", branches }], (walk, at) => {
      at.at(700, () => void walk.pause.pause(halt));
      at.at(5_000, () => void walk.pause.resume(resume));
    });
    expect(started(ended)).toEqual([["p.second.a", 5_000]]);
  });

  test("being frozen twice adds up, and the log tells how long", async () => {
    const ended = await run([tool("a"), wait("w", "1h"), tool("b")], (walk, at) => {
      for (const n of [1, 2]) {
        at.at(n * 10_000, () => void walk.pause.pause(freeze));
        at.at(n * 10_000 + 5_000, () => void walk.pause.resume(resume));
      }
    });
    expect(Math.abs(started(ended).find(([path]) => path === "b")![1] - hour - 10_000)).toBeLessThan(10);
    expect(dataOf(ended, "run.resumed")).toEqual([
      { by: "ada", frozenMs: 5_000 },
      { by: "ada", frozenMs: 5_000 },
    ]);
  });

  test("a run that is held for several reasons goes on when the last is gone", async () => {
    const ended = await run([wait("w", "1s"), tool("a")], (walk, at) => {
      at.at(100, () => void walk.pause.pause(halt));
      at.at(200, () => void walk.pause.hold(word("platform", 7, "definition:test", "tenant")));
      at.at(5_000, () => void walk.pause.resume(resume));
      at.at(6_000, () => void walk.pause.hold(word("platform", 8, "tenant")));
      at.at(7_000, () => void walk.pause.hold(word("platform", 9)));
    });
    expect(started(ended)).toEqual([["a", 7_000]]);
    expect(types(ended)).toEqual(["run.paused", "run.paused", "run.paused", "run.paused", "run.resumed"]);
  });

  test("an older word of a source that comes late changes nothing", async () => {
    const ended = await run([wait("w", "1s"), tool("a")], (walk, at) => {
      at.at(100, () => void walk.pause.hold(word("platform", 8)));
      at.at(200, () => void walk.pause.hold(word("platform", 7, "tenant")));
    });
    expect(types(ended)).toEqual([]);
    expect(ended.end.result.status).toBe("completed");
  });

  test("a step that is tried again waits for the resume", async () => {
    const retry = { maxAttempts: 2, initialInterval: "1s", jitter: 0, while: "${output != 2}" };
    const definition = [{ id: "f", type: "activity", activity: "any", arguments: [], retry }];
    let calls = 0;
    const ended = await runPlain(
      { name: "test", version: "1.0.0", steps: definition },
      {
        continues,
        answer: () => ({ output: ++calls }),
        steer: (walk, at) => {
          at.at(500, () => void walk.pause.pause(halt));
          at.at(9_000, () => void walk.pause.resume(resume));
        },
      },
    );
    expect(started(ended).map(([, at]) => at >= 9_000)).toEqual([false, true]);
  });

  test("children are told what holds the tree, those that start later begin with it, and all are let go", async () => {
    const child = (id: string, more: object = {}) => ({ id, type: "workflow", workflow: "other", await: false, ...more });
    const ended = await run([child("one"), wait("w", "1s"), child("two"), wait("x", "1s")], (walk, at) => {
      at.at(500, () => void walk.pause.pause(tree));
      at.at(600, () => void walk.pause.pause(halt));
      at.at(3_000, () => void walk.pause.resume({ by: "ada", scope: "tree" }));
      at.at(4_000, () => void walk.pause.resume(resume));
    });
    const told = ended.port.held.map(({ at, id, holds }) => [at, id.split(".")[1], holds.holds.map(({ reason }) => reason)]);
    expect(told).toEqual([
      [500, "one", [`tree:${ended.walk.options.run.id}`]],
      [3_000, "one", []],
    ]);
  });

  test("a child hands down what it was told, and nothing of a pause of its own", async () => {
    const child = { id: "one", type: "workflow", workflow: "other", await: false };
    const ended = await run([child, wait("w", "1s"), tool("a")], (walk, at) => {
      at.at(100, () => void walk.pause.hold(word("parent", 1, "tree:r_root")));
      at.at(200, () => void walk.pause.pause(halt));
      at.at(5_000, () => void walk.pause.resume(resume));
      at.at(6_000, () => void walk.pause.hold(word("parent", 2)));
    });
    expect(ended.port.held.map(({ at, holds }) => [at, holds.version, holds.holds.map(({ reason }) => reason)])).toEqual([
      [100, 1, ["tree:r_root"]],
      [6_000, 4, []],
    ]);
  });

  test("a run that ends while it is held lets go of its children", async () => {
    const child = { id: "one", type: "workflow", workflow: "other", await: false, parentClosePolicy: "abandon" };
    const ended = await run([child, wait("w", "1h")], (walk, at) => {
      at.at(100, () => void walk.pause.pause(tree));
      at.at(200, () => walk.cancel("enough"));
    });
    expect(ended.end.result.status).toBe("canceled");
    expect(ended.port.held.map(({ holds }) => holds.holds.length)).toEqual([1, 0]);
  });
});

test("a run that begins held tells it behind its start and starts no step before it is let go", async () => {
  const ended = await runPlain(
    { name: "test", version: "1.0.0", steps: [tool("a")] },
    {
      holds: [word("platform", 3, "tenant")],
      steer: (walk, at) => at.at(1_000, () => void walk.pause.hold(word("platform", 4))),
    },
  );
  expect(started(ended)).toEqual([["a", 1_000]]);
  expect(ended.port.log.slice(0, 2).map(({ type }) => type)).toEqual(["run.started", "run.paused"]);
});

test("the Temporal Web UI shows why and by whom", async () => {
  let shown = "";
  await runPlain(
    { name: "test", version: "1.0.0", steps: [wait("w", "10s")] },
    {
      steer: (walk, at) => {
        at.at(1_000, () => void walk.pause.pause({ ...freeze, why: "an incident" }));
        at.at(1_500, () => (shown = at.shown));
        at.at(2_000, () => void walk.pause.resume(resume));
      },
    },
  );
  expect(shown).toMatch(/paused \(run\) by ada since .*, its timers stand still: an incident/);
});
