import { expect, test } from "@jest/globals";
import { ASK_HUMAN, unguarded, type AskedCall, type BriefTool } from "../contracts/agent-task.ts";
import type { GuardrailQuestion } from "../contracts/guardrails.ts";
import { makeProblem } from "../contracts/faults.ts";
import { askedCalls } from "./asked-calls.ts";

const tool = (more: Partial<BriefTool>): BriefTool => ({
  ...unguarded,
  name: "ledger_post",
  description: "",
  parameters: {},
  tool: "ledger.post",
  ...more,
});
const question = (assignees: string[], more: Partial<GuardrailQuestion> = {}): GuardrailQuestion => ({
  title: "Guardrail big",
  payload: null,
  assignees,
  expiresAfter: null,
  problem: makeProblem("guardrail", "big"),
  ...more,
});
const fields = { brief: "", models: [], repairs: 0, contextTokens: 1_000, toolCalls: 0, transcript: null, results: [] };
const asked = (tools: BriefTool[], names: string[], questions: GuardrailQuestion[] = []): Promise<AskedCall[]> =>
  askedCalls(
    names.map((name, index) => ({ id: `${index}`, name, arguments: {} })),
    { brief: { instructions: "", prompt: "", tools }, fields, questions, keep: (value) => Promise.resolve(value) },
  );

const finance = { asks: true, assignees: ["role:finance"] };
const ofAgent = { isAgents: true as const };

test.each([
  ["the agent's approval and the agent's rule", tool({ ...finance, ...ofAgent }), question(["role:support"], ofAgent), ["role:finance"]],
  ["the agent's approval and the agent's rule without people", tool({ ...finance, ...ofAgent }), question([], ofAgent), ["role:finance"]],
  ["the agent's approval and the step's rule", tool({ ...finance, ...ofAgent }), question(["role:support"]), ["role:finance"]],
  ["the agent's approval without people and the agent's rule", tool({ asks: true, ...ofAgent }), question(["role:x"], ofAgent), ["role:x"]],
  ["the step's approval and the agent's rule", tool(finance), question(["role:security"], ofAgent), ["role:security"]],
  ["the step's approval and the agent's rule without people", tool(finance), question([], ofAgent), ["role:finance"]],
  ["the step's approval and the step's rule", tool(finance), question(["role:support"]), ["role:finance"]],
  ["no approval and the step's rule", tool({}), question(["role:support"]), ["role:support"]],
])("a call that %s ask about is decided by those who may", async (_who, guarded, rule, people) => {
  const [call] = await asked([guarded], ["ledger_post"], [rule]);
  expect(call).toMatchObject({ asks: true, assignees: people, why: "Guardrail big" });
  expect(call).not.toHaveProperty("isAgents");
});

test("who may answer a question is not widened by a rule that asks about it", async () => {
  const ask = tool({ name: ASK_HUMAN, tool: undefined as never, assignees: ["role:finance"], expiresAfter: "2h" });
  const [call] = await asked([ask], [ASK_HUMAN], [question([])]);
  expect(call).toMatchObject({ asks: true, assignees: ["role:finance"], expiresAfter: "2h" });
});

test("beside a hand-over nothing else is called, and it goes to one agent", async () => {
  const [billing, sales] = ["billing", "sales"].map((handoff) => tool({ name: `to_${handoff}`, handoff, tool: undefined as never }));
  const calls = await asked([tool({}), billing!, sales!], ["ledger_post", "to_billing", "to_sales", "nowhere"]);
  expect(calls.map(({ problem }) => problem)).toEqual([
    expect.stringContaining("Ask again"),
    undefined,
    expect.stringContaining("one agent at a time"),
    expect.stringContaining("There is no tool nowhere"),
  ]);
  expect((await asked([tool({})], ["ledger_post"]))[0]).not.toHaveProperty("problem");
});
