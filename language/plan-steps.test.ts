import { expect, test } from "@jest/globals";
import { readDefinitionValue } from "./index.ts";
import type { Block, Plan, Step } from "./plan.ts";
import { blocksOf, findBlock, findStep } from "./plan-steps.ts";
import { freeRoots, rootsOf } from "./roots.ts";

function planOf(definition: object): Plan {
  const result = readDefinitionValue({ name: "a", version: "1.0.0", ...definition }, { hashOf: (text) => text });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

const set = (id: string, values: unknown = 1) => ({ id, type: "set", values });

const everything = planOf({
  input: {},
  steps: [
    {
      id: "annotate",
      type: "foreach",
      items: [1],
      steps: [set("note"), { id: "inner", type: "loop", maxIterations: 2, while: true, steps: [set("turn")] }],
      catch: [{ steps: [set("mend")] }],
    },
    {
      id: "route",
      type: "switch",
      cases: [
        { when: true, steps: [set("ship")] },
        { name: "slow", when: true, steps: [set("walk")] },
      ],
      default: [set("done")],
    },
    { id: "alert", type: "parallel", branches: { nurse: [set("call")], doctor: [set("page")] } },
    {
      id: "auth",
      type: "try",
      steps: [set("hold")],
      catch: [{ errors: ["x"], steps: [set("first")] }, { steps: [set("void")] }],
      finally: [set("clean")],
    },
    { id: "address", type: "tool", tool: "t", compensate: [{ id: "undo", type: "sequence", steps: [set("deep")] }] },
    { id: "ask", type: "approval", title: "x", expiresAfter: "1d", onExpire: [set("mail")] },
    { id: "inbox", type: "listen", any: [{ event: "a" }], timeout: "1d", foreach: { steps: [set("take")] }, onTimeout: [set("late")] },
  ],
  catch: [{ steps: [set("sorry")] }],
  finally: [set("x")],
});

test.each([
  ["annotate", "annotate"],
  ["annotate[3].note", "note"],
  ["annotate[3].inner[12].turn", "turn"],
  ["annotate.catch0.mend", "mend"],
  ["route.case0.ship", "ship"],
  ["route.slow.walk", "walk"],
  ["route.default.done", "done"],
  ["alert.nurse.call", "call"],
  ["auth.hold", "hold"],
  ["auth.catch1.void", "void"],
  ["auth.finally.clean", "clean"],
  ["address.compensate.undo.deep", "deep"],
  ["address#2", "address"],
  ["ask.onExpire.mail", "mail"],
  ["inbox[7].take", "take"],
  ["inbox.onTimeout.late", "late"],
  ["catch0.sorry", "sorry"],
  ["finally.x", "x"],
])("%s is the step %s", (path, id) => {
  expect(findStep(everything, path)?.id).toBe(id);
});

test.each([
  "",
  "x",
  "annotate.note",
  "annotate[1]",
  "route.case1.walk",
  "auth.catch2.void",
  "alert.call",
  "note",
  "address.undo",
  "finally",
  "ask[0].mail",
])("%j is no step", (path) => {
  expect(findStep(everything, path)).toBeUndefined();
});

test.each([
  ["", "ask"],
  ["annotate[3]", "note"],
  ["annotate[3].inner[0]", "turn"],
  ["annotate.catch0", "mend"],
  ["route.slow", "walk"],
  ["auth", "hold"],
  ["auth.finally", "clean"],
  ["address.compensate", "undo"],
  ["address.compensate.undo", "deep"],
  ["catch0", "sorry"],
  ["finally", "x"],
])("%j is the list of steps with %s", (path, id) => {
  expect(findBlock(everything, path)?.steps.map((step) => step.id)).toContain(id);
});

test.each(["address", "address.finally", "none", "none.finally", "route.fast", "annotate[0].note"])("%j is no list of steps", (path) => {
  expect(findBlock(everything, path)).toBeUndefined();
});

test("every step of a plan is found by the path of its slots", () => {
  const paths = (block: Block, before: string): string[] =>
    block.steps.flatMap((step) => [
      before + step.id,
      ...blocksOf(step).flatMap(({ slot, block: inside }) => paths(inside, before + slotted(step, slot))),
    ]);
  const slotted = ({ id }: Step, slot: string): string => (slot === "[]" ? `${id}[0].` : slot === "" ? `${id}.` : `${id}.${slot}.`);
  const all = paths(everything.body, "");
  expect(all.length).toBeGreaterThan(20);
  expect(all.filter((path) => findStep(everything, path)?.id !== path.split(".").at(-1)!.replace(/\[.*/, ""))).toEqual([]);
});

const reads = (steps: object[], output?: unknown) => {
  const around = { id: "around", type: "sequence", steps, ...(output === undefined ? {} : { output }) };
  const { body } = planOf({ input: {}, vars: { v: 1 }, steps: [set("before"), set("other"), around] });
  const block = (body.steps[2] as Extract<Step, { type: "sequence" }>).body;
  const { names, steps: ids } = freeRoots(block);
  return { names: names.toSorted(), steps: ids.toSorted() };
};

test("a block reads what encloses it, and not what it brings in itself", () => {
  expect(reads([set("a", "${input.x + steps.before.output}"), set("b", "${steps.a.output}")], "${steps.b.output + vars.v}")).toEqual({
    names: ["input", "vars"],
    steps: ["before"],
  });
});

test.each<[string, object, string[], string[]]>([
  [
    "items and their index",
    { type: "foreach", items: "${input.list}", key: "${string(index)}", steps: [set("i", "${item + index}")] },
    ["input"],
    [],
  ],
  ["joins", { type: "foreach", items: [1], until: "${size(done) > vars.v}", steps: [set("i")] }, ["vars"], []],
  [
    "iterations",
    { type: "loop", maxIterations: 2, while: "${index < 2 && last != input}", until: "${steps.i.output > last}", steps: [set("i")] },
    ["input"],
    [],
  ],
  [
    "errors",
    { type: "tool", tool: "t", arguments: "${run.id}", catch: [{ as: "e", when: "${e.status > input}", steps: [set("i", "${e}")] }] },
    ["input", "run"],
    [],
  ],
  [
    "outputs",
    { type: "tool", tool: "t", export: { v: "${output.x}" }, retry: { while: "${output == null}" }, compensate: [set("i", "${output}")] },
    [],
    [],
  ],
  [
    "events",
    {
      type: "listen",
      any: [{ event: "e${input}", when: "${event.id == vars.v}" }],
      until: "${event == last}",
      foreach: { as: "e", steps: [set("i", "${e}")] },
    },
    ["input", "vars"],
    [],
  ],
  ["macros", { type: "set", values: "${input.map(item, item + steps.before.output)}" }, ["input"], ["before"]],
  ["computed ids and presence", { type: "set", values: '${[has(steps.before.output), steps["other"].status]}' }, [], ["before", "other"]],
  [
    "addresses",
    {
      type: "http",
      url: "https://${input}/",
      headers: { a: "${vars.v}" },
      query: { b: "${run.id}" },
      body: "${env.X}",
      fairnessKey: "${steps.other.output}",
    },
    ["env", "input", "run", "vars"],
    ["other"],
  ],
  [
    "locks and questions",
    { type: "approval", title: "${input}", payload: "${vars}", escalate: { after: "1h", to: "${run.id}" }, lock: { key: "${env.X}" } },
    ["env", "input", "run", "vars"],
    [],
  ],
])("reads of %s", (_, step, names, steps) => {
  expect(reads([{ id: "s", ...step }])).toEqual({ names, steps });
});

test("a template's roots are without the variables of its macros", () => {
  expect(rootsOf({ expr: ["each", "map", ["name", "input"], "x", ["op", "+", ["name", "x"], ["name", "vars"]]] })).toEqual({
    names: ["input", "vars"],
    steps: [],
  });
});
