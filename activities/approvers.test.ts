import { expect, test } from "@jest/globals";
import { unguarded, type Asking, type BriefTool } from "../contracts/agent-task.ts";
import { asksAbout } from "./approvers.ts";

const tool: BriefTool = { ...unguarded, name: "ledger_post", description: "", parameters: {}, tool: "ledger.post" };
const ofStep = (more: Partial<Asking> = {}): Asking => ({ tools: ["ledger.*"], assignees: [], expiresAfter: null, ...more });
const ofAgent = (assignees?: string[], expiresAfter?: string) => ({ tools: ["ledger.post"], assignees, expiresAfter });

const finance = { assignees: ["role:finance"] };
const agents = { isAgents: true };

test.each([
  ["a step's approval, by its people", [ofStep(finance)], finance],
  ["an agent's, by its people whomever the step names", [ofStep(finance), ofAgent(["role:x"])], { assignees: ["role:x"], ...agents }],
  ["an agent's that names nobody, by the step's", [ofStep(finance), ofAgent()], finance],
  ["an agent's, where neither names anybody, by whoever may", [ofStep(), ofAgent()], { assignees: [], ...agents }],
] as const)("a call is decided under %s", (_what, [step, agent], people) => {
  expect(asksAbout([tool], step, agent)).toEqual([{ ...tool, asks: true, expiresAfter: null, ...people }]);
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
