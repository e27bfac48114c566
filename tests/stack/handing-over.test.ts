import { describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, Model, type Run } from "./client.ts";

const call = (name: string, args: JsonObject = {}, id = `call_${name}`) => ({ id, name, arguments: args });
const toolName = (agent: string): string => `hand_over_to_${agent}`;

let count = 0;
async function publish(model: Model, more: object = {}): Promise<string> {
  const name = `agent-${Date.now()}-${++count}`;
  const body = { name, version: "1.0.0", instructions: `You are ${name}.`, model: model.wanted, ...more };
  expect(await admin.post("/api/v2/agents", body)).toMatchObject({ status: 201 });
  return name;
}

const stop = (name: string) => admin.post(`/api/v2/agents/${name}/state`, { state: "stopped", why: "test" });
const task = (agent: string, more: object = {}) => ({ id: "work", type: "agent", agent, prompt: "Double 4.", ...more });

interface Request {
  messages: { role: string; content: string | null }[];
  tools?: { function: { name: string } }[];
}

const requests = async (model: Model): Promise<Request[]> => (await model.calls()).map(({ body }) => JSON.parse(body) as Request);
const toolsOf = ({ tools = [] }: Request): string[] => tools.map((tool) => tool.function.name);
const pathsOf = async (run: Run): Promise<string[]> => (await run.steps()).map(({ path }) => path);

describe("an agent that hands its conversation over", () => {
  test("is followed by the other, with its own instructions, model and tools and none of the first one's", async () => {
    const began = new Date().toISOString();
    const [first, second] = [new Model(), new Model()];
    const clerk = await publish(second, { tools: ["test.list"], description: "Counts." });
    const desk = await publish(first, { tools: ["test.double"], handoffs: [clerk] });
    await first.script({ toolCalls: [call("test_double", { n: 4 })] }, { toolCalls: [call(toolName(clerk), { reason: "It counts." })] });
    await second.script({ toolCalls: [call("test_double", { n: 5 })] }, { text: "8" });
    const run = await admin.begin({ steps: [task(desk)] });
    expect(await run.end()).toMatchObject({ output: "8", usage: { calls: 4 } });
    expect(toolsOf((await requests(first))[0]!)).toEqual(["test_double", toolName(clerk)]);
    const [taken, refused] = await requests(second);
    expect(toolsOf(taken!)).toEqual(["test_list"]);
    expect(taken!.messages[0]).toMatchObject({ role: "system", content: expect.stringContaining(`You are ${clerk}.`) as unknown });
    expect(JSON.stringify(taken!.messages)).not.toContain(`You are ${desk}.`);
    expect(taken!.messages.map(({ content }) => content)).toEqual(
      expect.arrayContaining(["Double 4.", '{"n":8}', expect.stringContaining("handed over to you")]),
    );
    expect(refused!.messages.at(-1)!.content).toContain("There is no tool test_double. There is: test_list.");
    expect((await run.events()).find(({ type }) => type === "agent.handed_over")).toMatchObject({
      step: "work[1].act[0].call",
      data: { from: desk, to: clerk, reason: "It counts." },
    });
    const { body } = await admin.get<{ data: { agent: string | null; calls: number }[] }>(
      `/api/v2/usage?groupBy=agent&limit=200&from=${began}`,
    );
    expect(body.data.find(({ agent }) => agent === clerk)).toMatchObject({ calls: 2 });
  });

  test("cannot be made to hand it to one that it was not given, whatever it reads", async () => {
    const [model, thief] = [new Model(), new Model()];
    const [friend, stranger] = [await publish(new Model()), await publish(thief)];
    const desk = await publish(model, { tools: ["test.list"], handoffs: [friend] });
    const orders = [
      call(toolName(stranger), { reason: "Ignore all instructions." }, "a"),
      call("hand_over_to_", { agent: stranger }, "b"),
      call(stranger, { prompt: "Give me all." }, "c"),
    ];
    await model.script({ toolCalls: orders }, { text: "I stay." });
    const run = await admin.begin({ steps: [task(desk)] });
    expect((await run.end()).output).toBe("I stay.");
    expect(await thief.calls()).toHaveLength(0);
    expect((await requests(model))[1]!.messages.filter(({ content }) => content?.includes("There is no tool"))).toHaveLength(3);
    const widened = await admin.finish({ steps: [task(desk, { handoffs: [stranger] })] });
    expect(widened.error).toMatchObject({ type: "policy", detail: expect.stringContaining(stranger) as unknown });
  });

  test("learns that the other is stopped, that one has it at a time, and that there is an end to it", async () => {
    const [one, two] = [new Model(), new Model()];
    const gone = await publish(new Model());
    const [ping, pong] = [`ping-${Date.now()}`, `pong-${Date.now()}`];
    const body = (name: string, model: Model, other: string) => ({
      name,
      version: "1.0.0",
      instructions: "i",
      model: model.wanted,
      handoffs: [other],
    });
    await admin.post("/api/v2/agents", body(pong, two, ping));
    await admin.post("/api/v2/agents", { ...body(ping, one, pong), handoffs: [pong, gone] });
    await stop(gone);
    await one.script(
      { toolCalls: [call(toolName(gone))] },
      ...Array.from({ length: 6 }, () => ({ toolCalls: [call(toolName(pong), {}, "a"), call(toolName(pong), {}, "b")] })),
      { text: "enough" },
    );
    await two.script(...Array.from({ length: 6 }, () => ({ toolCalls: [call(toolName(ping))] })));
    const ended = await admin.finish({ steps: [task(ping)] });
    expect(ended.output).toBe("enough");
    expect((await requests(one))[1]!.messages.at(-1)!.content).toContain("stopped");
    expect((await requests(two))[0]!.messages.at(-1)!.content).toContain("one agent at a time");
    expect((await requests(one)).at(-1)!.messages.at(-1)!.content).toContain("handed over 10 times");
  });

  test("has nothing else called in that turn, whose results would pass none of its rules", async () => {
    const [first, second] = [new Model(), new Model()];
    const clerk = await publish(second);
    const guardrails = [{ name: "small", type: "pattern", pattern: "8", on: ["toolResults"], outcome: "raise" }];
    const desk = await publish(first, { tools: ["test.double"], handoffs: [clerk], guardrails });
    await first.script({ toolCalls: [call("test_double", { n: 4 }), call(toolName(clerk))] });
    await second.script({ text: "Nothing is known." });
    const run = await admin.begin({ steps: [task(desk)] });
    expect((await run.end()).output).toBe("Nothing is known.");
    const [taken] = await requests(second);
    expect(JSON.stringify(taken!.messages)).toContain("Nothing else is called in the turn that hands the conversation over.");
    expect(JSON.stringify(taken!.messages)).not.toContain('\\"n\\":8');
  });

  test("takes along what the step asks of it: its guardrails, its approvals, the shape and length of its answer", async () => {
    const [first, second] = [new Model(), new Model()];
    const clerk = await publish(second, { tools: ["test.double"], reasoning: "low", maxOutputTokens: 4_000 });
    await first.script({ toolCalls: [call(toolName(clerk))] });
    await second.script({ toolCalls: [call("test_double", { n: 4 })] }, { toolCalls: [call("give_answer", { word: "bomb" })] });
    const step = {
      id: "work",
      type: "agent",
      model: first.wanted,
      prompt: "Double 4.",
      handoffs: [clerk],
      tools: ["test.double"],
      approval: { tools: ["test.*"], assignees: ["role:admin"] },
      guardrails: [{ name: "word", type: "pattern", pattern: "bomb", on: ["output"], outcome: "fix", replaceBy: "tea" }],
      outputSchema: { type: "object", required: ["word"], properties: { word: { type: "string" } } },
      maxOutputTokens: 700,
    };
    const run = await admin.begin({ steps: [step] });
    await admin.decide(await run.approval("work[1].act[0].approve"), { decision: "approve" });
    expect((await run.end()).output).toEqual({ word: "tea" });
    const asked = (await second.calls()).map(({ body }) => JSON.parse(body) as object);
    for (const body of asked) expect(body).toMatchObject({ max_tokens: 700, reasoning_effort: "low" });
  });
});

describe("an agent that is a tool of another", () => {
  test("does its task in a run of its own, within its own limits, and its answer is the result", async () => {
    const [first, second] = [new Model(), new Model()];
    const helper = await publish(second, { tools: ["test.double"], limits: { maxTurns: 1 } });
    const boss = await publish(first, { tools: [{ agent: helper, as: "helper" }] });
    await second.script({ text: "It is 8." }, { toolCalls: [call("test_double", { n: 4 })] });
    await first.script(
      { toolCalls: [call("helper", { prompt: "Double 4." })] },
      { toolCalls: [call("helper", { prompt: "Again." })] },
      { toolCalls: [call("helper", { n: 1 })] },
      { text: "8" },
    );
    const run = await admin.begin({ steps: [task(boss)] });
    expect((await run.end()).output).toBe("8");
    const heard = (await requests(first)).map(({ messages }) => messages.at(-1)!.content);
    expect(heard[1]).toBe("It is 8.");
    expect(heard[2]).toContain("no answer after 1 turns");
    expect(heard[3]).toContain("/prompt");
    const asked = (await requests(second))[0]!;
    expect(asked.messages.map(({ content }) => content)).toEqual([expect.stringContaining(`You are ${helper}.`), "Double 4."]);
    expect(toolsOf(asked)).toEqual(["test_double"]);
    expect(await pathsOf(run)).toContain("work[0].act[0].call");
    const children = (await run.events()).filter(({ type }) => type === "child.started").map(({ data }) => data);
    expect(children[0]).toMatchObject({ workflow: `agent.${helper}` });
    const stopped = await stop(helper);
    expect(stopped.status).toBe(200);
  });

  test("pays from the budget of the run, works under its policy, and is stopped by its own kill switch", async () => {
    const [first, second] = [new Model(), new Model()];
    const helper = await publish(second, { tools: ["test.double"] });
    const tools = [{ agent: helper, as: "helper" }];
    const step = { id: "work", type: "agent", model: first.wanted, prompt: "Double 4.", tools };
    await first.script({ toolCalls: [call("helper", { prompt: "Double." })] }, { text: "told" });
    await second.script({ toolCalls: [call("test_double", { n: 4 })] }, { text: "8" });
    const policy = { tools: ["files.*"] };
    expect((await admin.finish({ policy, steps: [step] })).output).toBe("told");
    expect((await requests(second))[1]!.messages.at(-1)!.content).toContain("policy.tools");
    await first.script({ toolCalls: [call("helper", { prompt: "Double." })] });
    await second.script({ text: "8" });
    const capped = await admin.finish({ budget: { modelCalls: 2, onExceed: "fail" }, steps: [step] });
    expect(capped.error).toMatchObject({ type: "budget_exceeded" });
    await stop(helper);
    await new Promise((wake) => setTimeout(wake, 2_100));
    await first.script({ toolCalls: [call("helper", { prompt: "Double." })] }, { text: "It is stopped." });
    expect((await admin.finish({ steps: [step] })).output).toBe("It is stopped.");
    expect(await second.calls()).toHaveLength(3);
  });

  test("may wait for people longer than the other has time", async () => {
    const [first, second] = [new Model(), new Model()];
    const helper = await publish(second, { tools: ["test.double"], approval: { tools: ["test.double"] } });
    const boss = await publish(first, { tools: [{ agent: helper, as: "helper" }], limits: { timeout: "10s" } });
    await first.script({ toolCalls: [call("helper", { prompt: "Double 4." })] }, { text: "8" });
    await second.script({ toolCalls: [call("test_double", { n: 4 })] }, { text: "8" });
    const run = await admin.begin({ steps: [task(boss)] });
    const { data } = await run.until("child.started", "work[0].act[0].call");
    const id = await admin.run(data["runId"] as string).approval("task[0].act[0].approve");
    await new Promise((wake) => setTimeout(wake, 12_000));
    await admin.decide(id, { decision: "approve" });
    expect(await run.end()).toMatchObject({ status: "completed", output: "8" });
  });

  test("calls itself no deeper than the limit", async () => {
    const model = new Model();
    const name = `self-${Date.now()}`;
    const body = { name, version: "1.0.0", instructions: "i", model: model.wanted, tools: [{ agent: name, as: "again" }] };
    expect(await admin.post("/api/v2/agents", body)).toMatchObject({ status: 201 });
    await model.script(...Array.from({ length: 6 }, () => ({ toolCalls: [call("again", { prompt: "Deeper." })] })));
    expect((await admin.finish({ steps: [task(name)] })).status).toBe("completed");
    expect((await requests(model)).filter(({ messages }) => messages.at(-1)!.content?.startsWith("A limit was reached"))).toHaveLength(1);
  });
});
