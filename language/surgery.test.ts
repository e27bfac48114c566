import { expect, test } from "@jest/globals";
import type { JsonObject } from "../contracts/json.ts";
import { patchDefinition } from "./surgery.ts";

const set = (id: string) => ({ id, type: "set", values: 1 });
const definition: JsonObject = {
  name: "w",
  version: "1.0.0",
  steps: [
    set("a"),
    {
      id: "route",
      type: "switch",
      cases: [
        { when: true, steps: [set("ship")] },
        { name: "late", when: true, steps: [set("ask")] },
      ],
      default: [set("no")],
    },
    { id: "each", type: "foreach", items: "${[1]}", steps: [set("note")] },
    { id: "p", type: "parallel", branches: { left: [set("x")] } },
    { id: "t", type: "try", steps: [set("go")], catch: [{ steps: [set("mend")] }], finally: [set("end")] },
  ],
};
const idsOf = (steps: { id: string }[]): string[] => steps.map(({ id }) => id);

test("steps are added after, before and into, at every depth, and the given definition stays as it was", () => {
  const before = JSON.stringify(definition);
  const patched = patchDefinition(definition, [
    { op: "add", after: "a", step: set("b") },
    { op: "add", before: "route.late.ask", step: set("first") },
    { op: "add", into: "each", step: set("last") },
    { op: "add", into: "", step: set("z") },
    { op: "add", into: "t.catch0", step: set("more") },
  ]) as unknown as { steps: { id: string; steps: { id: string }[] }[] };
  expect(idsOf(patched.steps)).toEqual(["a", "b", "route", "each", "p", "t", "z"]);
  expect(JSON.stringify(patched)).toContain('"name":"late","when":true,"steps":[{"id":"first"');
  expect(idsOf(patched.steps[3]!.steps)).toEqual(["note", "last"]);
  expect(JSON.stringify(definition)).toBe(before);
});

test("steps are replaced and removed by the path they have in the run", () => {
  const patched = patchDefinition(definition, [
    { op: "replace", path: "each[3].note", step: { id: "note", type: "set", values: 2 } },
    { op: "remove", path: "p.left.x" },
    { op: "remove", path: "t.finally.end" },
    { op: "remove", path: "route.default.no" },
  ]);
  expect(JSON.stringify(patched)).toContain('"values":2');
  expect(JSON.stringify(patched)).not.toMatch(/"x"|"end"|"no"/);
});

test("a path that is not there is named, with the nearest one", () => {
  expect(() => patchDefinition(definition, [{ op: "remove", path: "route.case0.shop" }])).toThrow(
    "The plan has nothing at route.case0.shop. Did you mean route.case0.ship?",
  );
});
