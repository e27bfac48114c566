import { afterAll, describe, expect, test } from "@jest/globals";
import { isObject, type JsonObject } from "../../contracts/json.ts";
import { admin, host, Model, Place, type Run } from "./client.ts";

const call = (name: string, args: JsonObject, id = `call_${name}`) => ({ id, name, arguments: args });
const double = (n: number, id?: string) => call("test_double", { n }, id);

const agent = (model: Model, more: object = {}) => ({ id: "work", type: "agent", model: model.wanted, prompt: "Double 4.", ...more });
const begin = (model: Model, more: object = {}): Promise<Run> => admin.begin({ steps: [agent(model, more)] });
const finish = async (model: Model, more: object = {}) => (await begin(model, more)).end();

interface Message {
  role: string;
  content: string;
}

/** What the model was told, request by request. */
const told = async (model: Model): Promise<Message[][]> =>
  (await model.calls()).map(({ body }) => (JSON.parse(body) as { messages: Message[] }).messages);

/** What it was told of its last calls. */
const results = async (model: Model): Promise<string[]> =>
  (await told(model))
    .at(-1)!
    .filter(({ role }) => role === "tool")
    .map(({ content }) => content);

describe("an agent", () => {
  test("calls tools until it has an answer", async () => {
    const model = new Model();
    await model.script({ toolCalls: [double(4)] }, { text: "It is 8." });
    const run = await finish(model, { tools: ["test.double"], instructions: "You count." });
    expect(run.output).toBe("It is 8.");
    const [, second] = await told(model);
    expect(second!.map(({ role }) => role)).toEqual(["system", "user", "assistant", "tool"]);
    expect(second!.at(-1)).toMatchObject({ content: '{"n":8}', tool_call_id: "call_test_double" });
  });

  test("has its turns and calls as steps of the run, and what they cost", async () => {
    const model = new Model();
    await model.script({ toolCalls: [double(1, "a"), double(2, "b")] }, { text: "done" });
    const run = await begin(model, { tools: ["test.double"] });
    await run.end();
    const paths = (await run.steps()).filter(({ status }) => status === "completed").map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining(["work", "work.brief", "work[0].think", "work[0].act[0].call", "work[0].act[1].call", "work[1].think"]),
    );
    expect((await run.step("work")).usage).toMatchObject({ calls: 2, toolCalls: 2, inputTokens: 20, outputTokens: 10 });
  });

  test("learns of its mistakes, and of tools that fail", async () => {
    const model = new Model();
    const asked = [call("nowhere", {}, "a"), call("test_double", { n: "four" }, "b"), call("test_breaks", {}, "c")];
    await model.script({ toolCalls: asked }, { text: "I see." });
    const run = await finish(model, { tools: ["test.double", "test.breaks"] });
    expect(run.output).toBe("I see.");
    const [unknown, wrong, broken] = await results(model);
    expect(unknown).toContain("There is no tool nowhere. There is: test_double, test_breaks.");
    expect(wrong).toMatch(/Tool refused its arguments.*\/n/);
    expect(broken).toContain("Tool failed");
  });

  test("gives a value that fits its schema, and may mend one that does not", async () => {
    const model = new Model();
    const outputSchema = { type: "object", required: ["risk"], properties: { risk: { type: "number" } } };
    await model.script({ toolCalls: [call("give_answer", { risk: "high" })] }, { toolCalls: [call("give_answer", { risk: 0.7 })] });
    const run = await begin(model, { outputSchema });
    expect((await run.end()).output).toEqual({ risk: 0.7 });
    const calls = await admin.get<{ data: { status: string }[] }>(`${run.path}/model-calls`);
    expect(calls.body.data.map(({ status }) => status)).toEqual(["answered", "unfit"]);
  });

  test("that finds no end is stopped after its turns", async () => {
    const model = new Model();
    await model.script(...Array.from({ length: 3 }, () => ({ toolCalls: [double(1)] })));
    const run = await finish(model, { tools: ["test.double"], maxTurns: 2 });
    expect(run.error).toMatchObject({ type: "max_turns", instance: "work" });
    expect(await model.calls()).toHaveLength(2);
  });

  test("whose conversation grows too long goes on with a summary of it", async () => {
    const model = new Model();
    const list = call("test_list", { count: 40, bytes: 150 });
    await model.script({ toolCalls: [list] }, { toolCalls: [double(4)] }, { text: "SUMMARY" }, { text: "8" });
    const prompt = `Double 4. ${"word ".repeat(600)}`;
    const run = await begin(model, { prompt, tools: ["test.list", "test.double"], contextTokens: 1_000 });
    expect((await run.end()).output).toBe("8");
    const requests = await told(model);
    expect(requests[2]!.at(-1)!.content).toContain("Result of call_test_list:");
    expect(requests[3]!.map(({ role }) => role)).toEqual(["system", "user", "user", "assistant", "tool"]);
    expect(requests[3]!.map(({ content }) => content)).toEqual(expect.arrayContaining([expect.stringContaining("SUMMARY"), '{"n":8}']));
    expect((await run.step("work[2].shorten")).status).toBe("completed");
  });

  test("reads of each result of a turn its beginning, also when together they are more than is loaded at once", async () => {
    const model = new Model();
    const list = call("test_list", { count: 1, bytes: 5_000_000 });
    const seven = Array.from({ length: 7 }, (_, n) => ({ ...list, id: `call_${n}` }));
    await model.script({ toolCalls: seven }, { text: "long" });
    const run = await begin(model, { tools: ["test.list"] });
    expect((await run.end()).output).toBe("long");
    for (const { content } of (await told(model))[1]!.slice(-7)) expect(content).toMatch(/^\[\{"n":0,"pad":"x+\n\[\d+ more characters/);
  });

  test("gets a task that is too long for the history as its text, and keeps its guard", async () => {
    const model = new Model();
    await model.script({ toolCalls: [double(4)] }, { text: "8" });
    const step = agent(model, { prompt: "Read: ${input.text}", tools: ["test.double"], approval: { tools: ["test.double"] } });
    const run = await admin.begin({ steps: [step] }, { text: "word ".repeat(5_000) });
    await admin.decide(await run.approval("work[0].act[0].approve"), { decision: "approve" });
    expect((await run.end()).output).toBe("8");
    expect((await told(model))[0]!.find(({ role }) => role === "user")!.content).toMatch(/^Read: (word ){5000}$/);
  });

  test("may say and read what Postgres cannot keep", async () => {
    const model = new Model();
    await model.script({ text: "a\u0000b\ud800", toolCalls: [double(4)] }, { text: "8" });
    expect((await finish(model, { tools: ["test.double"] })).output).toBe("8");
  });

  test("makes no call that its model was cut off in", async () => {
    const model = new Model();
    await model.script({ toolCalls: [double(4)], isCutShort: true });
    const run = await begin(model, { tools: ["test.double"], timeout: "20s" });
    expect((await run.end()).error).toMatchObject({ type: "model_output" });
    expect((await run.steps()).filter(({ type }) => type === "tool")).toEqual([]);
  });

  test("cannot have a tool under a name that stands for something else", async () => {
    const workflow = await admin.publish({ steps: [{ id: "a", type: "set", values: 1 }] });
    const run = await finish(new Model(), { tools: [{ workflow, as: "give_answer" }] });
    expect(run.error).toMatchObject({ type: "conflict", detail: expect.stringContaining("give_answer") as unknown });
  });

  test("may run a workflow as a tool", async () => {
    const workflow = await admin.publish({
      input: { type: "object", required: ["n"], properties: { n: { type: "number" } } },
      steps: [{ id: "a", type: "set", values: "${input.n + 1}" }],
    });
    const model = new Model();
    await model.script({ toolCalls: [call("inc", { n: 41 })] }, { text: "42" });
    await finish(model, { tools: [{ workflow, as: "inc" }] });
    expect(await results(model)).toEqual(["42"]);
  });

  test("gives a call the time that its tool is known to take, or what it says itself", async () => {
    const model = new Model();
    const patient = call("test_patient", { ms: 4_000 });
    const envelope = { defaults: { timeout: "3s", retry: { maxAttempts: 1 } } };
    await model.script({ toolCalls: [patient] }, { text: "I waited." });
    await admin.finish({ ...envelope, steps: [agent(model, { tools: ["test.patient"] })] });
    expect(await results(model)).toEqual(["done"]);
    const hasty = new Model();
    await hasty.script({ toolCalls: [patient] }, { text: "I did not." });
    await admin.finish({ ...envelope, steps: [agent(hasty, { tools: [{ tool: "test.patient", timeout: "1s" }] })] });
    expect((await results(hasty))[0]).toContain("Timed out");
  });

  test("asks a person, and takes their answer", async () => {
    const model = new Model();
    await model.script({ toolCalls: [call("ask_human", { question: "Which colour?" })] }, { text: "Blue it is." });
    const run = await begin(model, { tools: ["ask_human"], approval: { tools: ["*"], assignees: ["role:paint"], expiresAfter: "1h" } });
    const id = await run.approval("work[0].act[0].call");
    const asked = { title: "Which colour?", assignees: ["role:paint"], expiresAt: expect.any(String) };
    expect((await admin.get(`/api/v2/approvals/${id}`)).body).toMatchObject(asked);
    const other = await admin.withKey({ principal: "bob", kind: "person", roles: ["operator", "approver"] });
    expect(await other.post(`/api/v2/approvals/${id}/decision`, { decision: "approve", data: { answer: "red" } })).toMatchObject({
      status: 403,
    });
    await admin.decide(id, { decision: "approve", data: { answer: "blue" } });
    expect((await run.end()).output).toBe("Blue it is.");
    expect((await results(model))[0]).toContain('"answer":"blue"');
  });

  test("whose tools the policy does not let pass is not published", async () => {
    const definition = {
      name: "p",
      version: "1.0.0",
      policy: { tools: ["files.*"] },
      steps: [agent(new Model(), { tools: ["test.double"] })],
    };
    expect(await admin.post("/api/v2/workflows", definition)).toMatchObject({ status: 422 });
  });

  test("with a tool that is not there fails at its beginning", async () => {
    const run = await finish(new Model(), { tools: ["test.dubble"] });
    expect(run.error).toMatchObject({ type: "tool_input", detail: expect.stringContaining("test.double") as unknown });
  });
});

describe("a call that a person must approve", () => {
  const guarded = { tools: ["test.double"], approval: { tools: ["test.*"], assignees: ["role:admin"] } };

  test("is made with the very arguments that were shown", async () => {
    const model = new Model();
    await model.script({ toolCalls: [double(4)] }, { text: "done" });
    const run = await begin(model, guarded);
    const id = await run.approval("work[0].act[0].approve");
    expect((await admin.get(`/api/v2/approvals/${id}`)).body).toMatchObject({ payload: { tool: "test_double", arguments: { n: 4 } } });
    await admin.decide(id, { decision: "approve" });
    await run.end();
    expect(await results(model)).toEqual(['{"n":8}']);
  });

  test("is not made when they refuse, and the agent learns why", async () => {
    const model = new Model();
    await model.script({ toolCalls: [double(4)] }, { text: "I shall not." });
    const run = await begin(model, guarded);
    await admin.decide(await run.approval("work[0].act[0].approve"), { decision: "reject", comment: "too much" });
    expect((await run.end()).output).toBe("I shall not.");
    expect((await results(model))[0]).toContain("too much");
    expect((await run.steps()).filter(({ type }) => type === "tool")).toEqual([]);
  });
});

describe("a published agent", () => {
  const publish = async (more: object = {}): Promise<string> => {
    const name = `a-${Math.random().toString(36).slice(2, 10)}`;
    const body = { name, version: "1.0.0", instructions: "You count.", ...more };
    expect(await admin.post("/api/v2/agents", body)).toMatchObject({ status: 201 });
    return name;
  };
  const stop = (name: string) => admin.post(`/api/v2/agents/${name}/state`, { state: "stopped", why: "test" });
  const named = (name: string, more: object = {}) => ({ id: "work", type: "agent", agent: name, prompt: "Double 4.", ...more });

  test("works under its name, with its model and its tools", async () => {
    const model = new Model();
    const name = await publish({ model: model.wanted, tools: ["test.double"] });
    await model.script({ toolCalls: [double(4)] }, { text: "8" });
    const run = await admin.begin({ steps: [named(name)] });
    expect((await run.end()).output).toBe("8");
    expect((await told(model))[0]![0]).toMatchObject({ role: "system", content: expect.stringMatching(/^You count\./) as unknown });
    const { body } = await admin.get<{ data: { agent: string | null; calls: number }[] }>("/api/v2/usage?groupBy=agent&limit=200");
    expect(body.data.find(({ agent: of }) => of === name)).toMatchObject({ calls: 2 });
  });

  test("has of its tools those that the step names, and no other", async () => {
    const model = new Model();
    const name = await publish({ model: model.wanted, tools: ["test.double", "test.list"] });
    const run = await admin.finish({ steps: [named(name, { tools: [] })] });
    expect(run.status).toBe("completed");
    expect(JSON.parse((await model.calls())[0]!.body)).not.toHaveProperty("tools");
    const other = await admin.finish({ steps: [named(name, { tools: ["test.breaks"] })] });
    expect(other.error).toMatchObject({ type: "policy" });
  });

  test("is asked to reason and to be short as it was published, or as the step says, within its bound", async () => {
    const model = new Model();
    const name = await publish({ model: model.wanted, tools: ["test.double"], reasoning: "low", maxOutputTokens: 3_000 });
    await model.script({ toolCalls: [double(4)] });
    await admin.finish({ steps: [named(name)] });
    await admin.finish({ steps: [named(name, { reasoning: "high", maxOutputTokens: 9_000 })] });
    await admin.finish({ steps: [named(name, { maxOutputTokens: 500 })] });
    const bodies = (await model.calls()).map(({ body }) => JSON.parse(body) as { reasoning_effort: string; max_tokens: number });
    expect(bodies.map(({ reasoning_effort: effort, max_tokens: tokens }) => [effort, tokens])).toEqual([
      ["low", 3_000],
      ["low", 3_000],
      ["high", 3_000],
      ["low", 500],
    ]);
  });

  test("keeps its limits, whatever the step says", async () => {
    const model = new Model();
    const name = await publish({ model: model.wanted, tools: ["test.double"], limits: { maxTurns: 3, toolCalls: 1 } });
    await model.script({ toolCalls: [double(1, "a"), double(2, "b")] }, ...Array.from({ length: 3 }, () => ({ toolCalls: [double(3)] })));
    const run = await admin.finish({ steps: [named(name, { maxTurns: 10 })] });
    expect(run.error).toMatchObject({ type: "max_turns" });
    expect(await model.calls()).toHaveLength(3);
    expect((await told(model))[1]!.at(-1)).toMatchObject({ content: expect.stringContaining("may make 1 calls") as unknown });
  });

  test("runs workflows that it was published with, and no step adds one", async () => {
    const steps = [{ id: "a", type: "set", values: "${input.n + 1}" }];
    const input = { type: "object", required: ["n"], properties: { n: { type: "number" } } };
    const [workflow, other] = [await admin.publish({ input, steps }), await admin.publish({ input, steps })];
    const model = new Model();
    const name = await publish({ model: model.wanted, tools: [{ workflow, as: "inc" }], approval: { tools: [workflow] } });
    await model.script({ toolCalls: [call("inc", { n: 41 })] }, { text: "42" });
    const run = await admin.begin({ steps: [named(name)] });
    await admin.decide(await run.approval("work[0].act[0].approve"), { decision: "approve" });
    expect((await run.end()).output).toBe("42");
    expect(await results(model)).toEqual(["42"]);
    const added = await admin.finish({ steps: [named(name, { tools: [{ workflow: other, as: "inc" }] })] });
    expect(added.error).toMatchObject({ type: "policy", detail: expect.stringContaining(other) as unknown });
  });

  test("asks those whom it must ask, also where the step asks nobody", async () => {
    const model = new Model();
    const approval = { tools: ["test.*"], assignees: ["role:finance"] };
    const name = await publish({ model: model.wanted, tools: ["test.double"], approval });
    await model.script({ toolCalls: [double(4)] }, { text: "8" });
    const run = await admin.begin({ steps: [named(name)] });
    const id = await run.approval("work[0].act[0].approve");
    expect((await admin.get(`/api/v2/approvals/${id}`)).body).toMatchObject({ assignees: ["role:finance"] });
    await admin.decide(id, { decision: "approve" });
    expect((await run.end()).output).toBe("8");
  });

  test("has no workflow for a tool that it was not published with", async () => {
    const workflow = await admin.publish({ steps: [{ id: "a", type: "set", values: 1 }] });
    const model = new Model();
    const name = await publish({ model: model.wanted });
    await model.script({ toolCalls: [call("go", {})] }, { text: "8" });
    const step = { id: "work", type: "agent", model: model.wanted, prompt: "Go.", tools: [{ workflow, as: "go" }] };
    expect((await admin.finish({ steps: [step] })).output).toBe("8");
    expect((await admin.finish({ steps: [named(name, { tools: [{ workflow, as: "go" }] })] })).error).toMatchObject({ type: "policy" });
  });

  test("that is stopped begins no call more, in tasks that are under way either", async () => {
    const model = new Model();
    const other = await publish({ model: model.wanted });
    const tools = ["test.double", { agent: other, as: "ask" }];
    const name = await publish({ model: model.wanted, tools, approval: { tools: ["test.*", other] } });
    await model.script({ toolCalls: [double(4), call("ask", { prompt: "?" })] }, { text: "8" });
    const run = await admin.begin({ steps: [named(name)] });
    const ids = await Promise.all([0, 1].map((index) => run.approval(`work[0].act[${index}].approve`)));
    expect(await stop(name)).toMatchObject({ status: 200 });
    await new Promise((wake) => setTimeout(wake, 2_500));
    for (const id of ids) await admin.decide(id, { decision: "approve" });
    expect((await run.end()).error).toMatchObject({ type: "agent_state" });
    const made = (await run.steps()).filter(({ path }) => path.endsWith(".call"));
    expect(made.map(({ status, error }) => [status, error?.type])).toEqual([0, 1].map(() => ["failed", "agent_state"]));
    expect(await model.calls()).toHaveLength(1);
    expect((await admin.finish({ steps: [named(name)] })).error).toMatchObject({ type: "agent_state" });
  });
});

describe("an agent whose run is cut short", () => {
  afterAll(() => host.heal());

  const pays = (place: Place) => ({ toolCalls: [call("test_payAsked", { url: place.url })] });

  test("by a fault of its model is retried without paying again for what was done", async () => {
    const [model, place] = [new Model(), new Place()];
    await model.script(pays(place), { status: 401 }, { text: "paid" });
    const run = await begin(model, { tools: ["test.payAsked"], approval: { unasked: ["test.payAsked"] } });
    expect(await run.end()).toMatchObject({ status: "failed" });
    const { body } = await admin.post<{ id: string }>(`${run.path}/retry`);
    expect((await admin.run(body.id).end()).output).toBe("paid");
    expect([(await model.calls()).length, (await place.calls()).length]).toEqual([3, 1]);
  });

  test("by kill -9 in the midst of a turn goes on with it", async () => {
    const [model, place] = [new Model(), new Place()];
    await model.script(pays(place), { text: "late", delayMs: 20_000 }, { text: "paid" });
    const run = await begin(model, { tools: ["test.payAsked"], approval: { unasked: ["test.payAsked"] } });
    await model.calls(2);
    await host.kill("worker");
    await host.start("worker");
    expect((await run.end()).output).toBe("paid");
    expect((await place.calls()).length).toBe(1);
    expect((await run.steps()).every(({ output }) => !isObject(output) || !("error" in output))).toBe(true);
  });
});
