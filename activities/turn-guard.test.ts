import { afterAll, expect, test } from "@jest/globals";
import { unguarded } from "../contracts/agent-task.ts";
import type { Guardrail, GuardOrder } from "../contracts/guardrails.ts";
import { Guard, type GuardDeps } from "./guard.ts";
import { IsolatedSchemas } from "./isolated-schema.ts";
import type { StepContext } from "./step.ts";
import { passAdded, passSaid } from "./turn-guard.ts";

const schemas = new IsolatedSchemas();
afterAll(() => schemas.close());

const asks = (pattern: string, assignees: string[]): Guardrail => ({
  name: pattern,
  type: "pattern",
  pattern,
  on: ["toolResults"],
  outcome: "human",
  assignees,
});
const tools = [{ ...unguarded, name: "look", description: "", parameters: {}, tool: "look" }];
const called = (id: string) => ({ id, name: "look", arguments: {} });
// Patterns need nothing else.
const context = { timeoutMs: 10_000, tell: () => Promise.resolve() } as unknown as StepContext;
const guardOf = (order: GuardOrder): Guard => new Guard({ schemas } as GuardDeps, order, context);
const result = (toolCallId: string, content: string) => ({ role: "tool" as const, toolCallId, content });

test("a rule of one tool sees its results, also when all calls have one id", async () => {
  const order = { rules: [{ ...asks("secret", ["role:security"]), tools: ["peek"] }] };
  const guard = new Guard({ schemas } as GuardDeps, order, { timeoutMs: 10_000, tell: () => Promise.resolve() } as unknown as StepContext);
  const before = [{ role: "assistant" as const, content: "", toolCalls: [called("a"), { ...called("a"), name: "peek" }] }];
  const brief = { instructions: "", prompt: "", tools: [...tools, { ...tools[0]!, name: "peek", tool: "peek" }] };
  const { question } = await passAdded(guard, brief, { before, added: [result("a", "nothing"), result("a", "secret")] });
  expect(question).toMatchObject({ payload: "secret" });
});

test.each([
  [["password", "discount"], "role:security"],
  [["discount", "password"], "role:security"],
  [["discount", "nothing"], "role:support"],
])(
  "of results %j, what a rule of the agent asks about is not decided by those whom the step names",
  async (contents, people) => {
    const order = { rules: [asks("password", ["role:security"]), asks("discount", ["role:support"])], ofAgent: 1 };
    const guard = guardOf(order);
    const ids = contents.map((_, index) => `${index}`);
    const before = [{ role: "assistant" as const, content: "", toolCalls: ids.map(called) }];
    const added = contents.map((content, index) => result(ids[index]!, content));
    const { question } = await passAdded(guard, { instructions: "", prompt: "", tools }, { before, added });
    expect(question).toMatchObject({ assignees: [people] });
    const shown = contents.filter((content) => content !== "nothing");
    expect(question?.payload).toEqual(shown.length === 1 ? shown[0] : shown);
  },
  30_000,
);

test("an answer that a rule has mended is held against its schema before anybody has it", async () => {
  const outputSchema = { type: "object", properties: { word: { type: "string", maxLength: 3 } } };
  const said = { text: "", toolCalls: [{ id: "a", name: "give_answer", arguments: { word: "bomb" } }] };
  const passed = (replaceBy: string) => {
    const rule: Guardrail = { name: "word", type: "pattern", pattern: "bomb", on: ["output"], outcome: "fix", replaceBy };
    return passSaid(guardOf({ rules: [rule] }), { instructions: "", prompt: "", tools: [], outputSchema }, said, 0);
  };
  await expect(passed("tea")).resolves.toMatchObject({ said: { toolCalls: [{ arguments: { word: "tea" } }] } });
  await expect(passed("coffee")).rejects.toThrow("does not fit outputSchema: /word must NOT have more than 3 characters");
});
