import { expect, test } from "@jest/globals";
import { ASK_HUMAN, unguarded, type Asking, type BriefTool } from "../contracts/agent-task.ts";
import { asksAbout, fitting } from "./approvers.ts";

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

test("of reminders, too, and who says none has the other's", () => {
  const remind = (remindAfter?: string) => ({ tools: ["ledger.post"], ...(remindAfter === undefined ? {} : { remindAfter }) });
  const reminded = (step?: string, agent?: string) =>
    asksAbout([tool], ofStep(step === undefined ? {} : { remindAfter: step }), remind(agent))[0];
  expect([reminded("2h", "10m"), reminded("2h"), reminded(undefined, "5m")].map((asked) => asked!.remindAfter)).toEqual([
    "10m",
    "2h",
    "5m",
  ]);
  expect(reminded()).not.toHaveProperty("remindAfter");
});

const human: BriefTool = { ...unguarded, name: ASK_HUMAN, description: "", parameters: {} };

test.each([
  ["another tool", "ledger.*"],
  ["the question", ASK_HUMAN],
  ["all", "*"],
])("who decides about %s answers the agent's questions, about which nobody is asked", (_, entry) => {
  const people = { assignees: ["role:finance"], expiresAfter: "2h", remindAfter: "30m" };
  const asked = asksAbout([tool, human], ofStep({ tools: [entry], ...people }), undefined).find(({ name }) => name === ASK_HUMAN);
  expect(asked).toEqual({ ...human, ...people });
});

test("of a conversation that is handed over the step's people answer the questions, whatever tools the other has", () => {
  const approval = fitting(ofStep(finance), [human]);
  expect(asksAbout([human], approval, undefined)).toEqual([{ ...human, ...finance }]);
});

const dangerous: BriefTool = { ...tool, effect: "dangerous" };

test.each([
  ["of a step that says nothing, by whoever may", [undefined, undefined], { assignees: [] }],
  ["of an agent that says nothing, by whoever may", [undefined, {}], { assignees: [], ...agents }],
  ["of a step with approvers, by them", [{ ...ofStep(finance), tools: [] }, undefined], finance],
  ["of an agent with approvers, by them", [undefined, { unasked: [], ...finance }], { ...finance, ...agents }],
  [
    "of an agent, whatever its step would leave unasked",
    [ofStep({ tools: [], unasked: ["ledger.post"] }), {}],
    { assignees: [], ...agents },
  ],
] as const)("a dangerous call is asked about: %s", (_what, [step, agent], people) => {
  expect(asksAbout([dangerous], step as Asking | undefined, agent as Parameters<typeof asksAbout>[2])).toEqual([
    { ...dangerous, asks: true, expiresAfter: null, ...people },
  ]);
});

test.each([
  ["a step without an agent", [ofStep({ tools: [], unasked: ["ledger.*"] }), undefined], false],
  ["an agent", [undefined, { unasked: ["ledger.post"] }], false],
  ["an agent, but not the step that asks about it", [ofStep(finance), { unasked: ["ledger.post"] }], true],
] as const)("a dangerous call is left unasked by %s", (_who, [step, agent], asks) => {
  const [given] = asksAbout([dangerous], step as Asking | undefined, agent as Parameters<typeof asksAbout>[2]);
  expect(given!.asks).toBe(asks);
  expect(() => asksAbout([dangerous], ofStep({ tools: [], unasked: ["ledgr.post"] }), undefined)).toThrow("none of the agent's tools");
});

test("what nobody asks about stays as it is, and a name that is no tool is refused", () => {
  expect(asksAbout([{ ...tool, tool: "other" }, tool], ofStep(), undefined)[0]).toMatchObject({ asks: false });
  expect(() => asksAbout([tool], ofStep({ tools: ["ledgr.post"] }), undefined)).toThrow("none of the agent's tools");
});
