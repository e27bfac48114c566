import { describe, expect, test } from "@jest/globals";
import { unguarded, type AgentOrder, type Brief } from "../contracts/agent-task.ts";
import { defaults } from "../contracts/limits.ts";
import { testContext } from "../tests/work-context.ts";
import { openingOf, type OpeningDeps } from "./opening.ts";
import { estimateInputTokens, type Message } from "./model-port.ts";
import { createModels } from "./models.ts";
import { partsOf, systemOf } from "./conversation.ts";
import { summaryQuestion } from "./shorten.ts";
import { specsOf } from "./think.ts";

const models = createModels({ OPENAI_API_KEY: "key", ANTHROPIC_API_KEY: "key", TENUTO_MODELS: [] });
const [gpt4o, gpt4] = ["openai/gpt-4o", "openai/gpt-4"];

const tools = Array.from({ length: 20 }, (_, n) => ({
  ...unguarded,
  name: `t${n}`,
  description: "It does it.",
  parameters: { type: "object" },
}));
const brief: Brief = { instructions: "You help.", prompt: "Do it.", tools };

async function contextTokensOf(
  contextTokens: number | undefined,
  names: string[],
  { agent, ...more }: { agent?: number; handedOver?: string } = {},
): Promise<number> {
  const said = contextTokens === undefined ? {} : { contextTokens };
  const order: AgentOrder = { models: names, instructions: "", prompt: "", owner: "o", ...said, ...more };
  const published = agent === undefined ? undefined : { name: "a", version: "1.0.0", instructions: "", contextTokens: agent };
  // Nothing is remembered: what would be asked for it is not there.
  const deps = { models } as unknown as OpeningDeps;
  return (await openingOf(deps, { tenant: "t", run: "r", asker: testContext(), order, agent: published, brief, models: names }))
    .contextTokens;
}

describe("a conversation is shortened", () => {
  test("where it is wanted, in a window that leaves room for more", async () => {
    expect(await contextTokensOf(10_000, [gpt4o])).toBe(10_000);
    expect(await contextTokensOf(150_000, ["openai/nobody-knows"])).toBe(150_000);
  });

  test("where its step says, otherwise where its agent says; whoever takes it over may want less", async () => {
    const unknown = ["openai/nobody-knows"];
    expect(await contextTokensOf(undefined, unknown)).toBe(defaults.agentContextTokens);
    expect(await contextTokensOf(undefined, unknown, { agent: 500_000 })).toBe(500_000);
    expect(await contextTokensOf(20_000, unknown, { agent: 10_000 })).toBe(20_000);
    expect(await contextTokensOf(20_000, unknown, { agent: 10_000, handedOver: "hash" })).toBe(10_000);
    expect(await contextTokensOf(20_000, unknown, { agent: 30_000, handedOver: "hash" })).toBe(20_000);
  });

  test.each([gpt4o, gpt4, "anthropic/claude-3-5-haiku"])("while one turn more fits into the window of %s", async (name) => {
    const window = models.window(name)!;
    const longest = await contextTokensOf(2_000_000, [name]);
    const fixed = estimateInputTokens({ messages: systemOf(brief), tools: specsOf(brief) });
    expect(fixed + 1.5 * longest + Math.min(defaults.budgetOutputTokens, window / 5)).toBeLessThan(window);
    expect(longest).toBeGreaterThan(0.45 * (window - fixed));
    expect(await contextTokensOf(defaults.agentContextTokens, [name, gpt4])).toBe(await contextTokensOf(2_000_000, [gpt4]));
  });

  test("by a call that fits into the window of whoever has taken it over, with how it began and how it ends", async () => {
    const said: Message[] = [
      { role: "user", content: "FIRST" },
      { role: "assistant", content: "word ".repeat(80_000) },
      { role: "assistant", content: "LAST" },
    ];
    const fields = { brief: "", models: [gpt4o, gpt4], repairs: 0, contextTokens: 1_000, toolCalls: 0, transcript: null, results: [] };
    const question = summaryQuestion(models, { brief, fields, parts: partsOf(brief, said), room: 1_000 });
    expect(question.need.inputTokens).toBeLessThan(models.window(gpt4)!);
    expect(question.need.inputTokens).toBeGreaterThan(0.8 * models.window(gpt4)!);
    const asked = question.request(undefined).messages.at(-1)!.content;
    for (const part of ["FIRST", "characters were left out", "assistant: LAST\n"]) expect(asked).toContain(part);
    await expect(models.route(gpt4, question.need, "t")).resolves.toMatchObject({ name: "gpt-4" });
  });
});
