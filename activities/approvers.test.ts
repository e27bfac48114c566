import { expect, test } from "@jest/globals";
import { unguarded, type Asking, type BriefTool } from "../contracts/agent-task.ts";
import { asksAbout } from "./approvers.ts";

const tool: BriefTool = { ...unguarded, name: "ledger_post", description: "", parameters: {}, tool: "ledger.post" };
const ofStep = (more: Partial<Asking> = {}): Asking => ({ tools: ["ledger.*"], assignees: [], expiresAfter: null, ...more });
const ofAgent = (assignees?: string[], expiresAfter?: string) => ({ tools: ["ledger.post"], assignees, expiresAfter });

test.each([
  ["a step's approval, by its people", ofStep({ assignees: ["role:finance"] }), undefined, ["role:finance"], undefined],
  ["an agent's, by its people whomever the step names", ofStep({ assignees: ["role:x"] }), ofAgent(["role:boss"]), ["role:boss"], true],
  ["an agent's that names nobody, by the step's", ofStep({ assignees: ["role:finance"] }), ofAgent(), ["role:finance"], undefined],
  ["an agent's, where neither names anybody, by whoever may", ofStep(), ofAgent(), [], true],
])("a call is decided under %s", (_what, step, agent, assignees, isAgents) => {
  const [asked] = asksAbout([tool], step, agent);
  expect(asked).toMatchObject({ asks: true, assignees });
  expect(asked!.isAgents).toBe(isAgents);
});

test.each([
  ["2h", "10m", "10m"],
  ["10m", "2h", "10m"],
  [null, "2h", "2h"],
  [60_000, undefined, 60_000],
  [null, undefined, null],
])("of times %j of the step and %j of the agent the shorter counts", (expiresAfter, agents, shorter) => {
  const [asked] = asksAbout([tool], ofStep({ expiresAfter }), ofAgent([], agents));
  expect(asked!.expiresAfter).toBe(shorter);
});

test("what nobody asks about stays as it is, and a name that is no tool is refused", () => {
  expect(asksAbout([{ ...tool, tool: "other" }, tool], ofStep(), undefined)[0]).toMatchObject({ asks: false });
  expect(() => asksAbout([tool], ofStep({ tools: ["ledgr.post"] }), undefined)).toThrow("none of the agent's tools");
});
