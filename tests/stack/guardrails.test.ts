import { afterAll, describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { callsOf, risk, say, statusesOf } from "./asking.ts";
import { begun } from "./going-on.ts";
import { admin, host, Model, type Run } from "./client.ts";

const cards = { name: "cards", type: "pattern", pattern: "\\b\\d{4}(-\\d{4}){3}\\b" };
const card = "4111-1111-1111-1111";
const polite = (judge: Model, more: object) => ({
  name: "polite",
  type: "model",
  model: judge.wanted,
  rule: "It is polite.",
  on: ["output"],
  ...more,
});
const passes = { json: { passes: true, why: "It is." } };
const word = (wanted: string, more: object) => ({ name: "word", type: "custom", tool: "test.judge", arguments: { word: wanted }, ...more });

const asked = async (model: Model, call: number): Promise<string> => (await model.calls())[call]!.body;
const decided = async (run: Run): Promise<JsonObject[]> =>
  (await run.events()).filter(({ type }) => type === "guardrail.decided").map(({ data }) => data as JsonObject);

describe("a guardrail of an llm step", () => {
  test("puts something else in the place of what it finds, on both sides, and costs no event of the history", async () => {
    const model = new Model();
    await model.script({ text: `Pay ${card} now, says ${card}.` });
    const guardrails = [{ ...cards, on: ["input", "output"], outcome: "fix", replaceBy: "[card]" }];
    const run = await admin.begin({ steps: [say(model, { prompt: `Bill ${card}.`, guardrails })] });
    expect((await run.end()).output).toBe("Pay [card] now, says [card].");
    expect(await asked(model, 0)).toContain("Bill [card].");
    expect(await decided(run)).toMatchObject([
      { rule: "cards", on: "input", outcome: "fix" },
      { rule: "cards", on: "output", outcome: "fix" },
    ]);
    const history = JSON.stringify(await host.history("default", run.id));
    expect(history.match(/EVENT_TYPE_ACTIVITY_TASK_SCHEDULED/g)).toHaveLength(1);
  });

  test("has the model answer again and told why, as often as repairs allow; then the error names it and can be caught", async () => {
    const model = new Model();
    await model.script({ text: card }, { text: "no number" });
    const guardrails = [{ ...cards, on: ["output"], outcome: "retry" }];
    const run = await admin.begin({ steps: [say(model, { guardrails })] });
    expect((await run.end()).output).toBe("no number");
    expect(await asked(model, 1)).toContain("Guardrail cards did not let the answer pass: its pattern was found.");
    expect(await statusesOf(run.id)).toEqual(["unfit", "answered"]);
    const other = new Model();
    await other.script(...Array.from({ length: 5 }, () => ({ text: card })));
    const guarded = say(other, { guardrails, repairs: 1 });
    const handler = { errors: ["guardrail"], as: "error", steps: [{ id: "told", type: "set", values: "${error.rule + ' ' + error.on}" }] };
    expect((await admin.finish({ steps: [{ id: "t", type: "try", steps: [guarded], catch: [handler] }] })).output).toBe("cards output");
    expect(await other.calls()).toHaveLength(2);
  });

  test("that a schema or a tool stands for raises, before anything is paid where it looks at the question", async () => {
    const model = new Model();
    const short = { name: "short", type: "schema", schema: { type: "string", maxLength: 5 }, on: ["output"], outcome: "raise" };
    const long = await admin.finish({ steps: [say(model, { prompt: "Say a lot.", guardrails: [short] })] });
    expect(long.error).toMatchObject({ type: "guardrail", rule: "short", on: "output", usage: { calls: 1 } });
    const refused = await admin.finish({
      steps: [say(model, { prompt: "bomb", guardrails: [word("bomb", { on: ["input"], outcome: "raise" })] })],
    });
    expect(refused.error).toMatchObject({ type: "guardrail", rule: "word", detail: expect.stringContaining("It says bomb.") as unknown });
    expect(await model.calls()).toHaveLength(1);
    const writes = word("bomb", { tool: "test.pay", on: ["input"], outcome: "raise" });
    expect((await admin.finish({ steps: [say(model, { guardrails: [writes] })] })).error).toMatchObject({ type: "tool_input" });
  });

  test("that a model stands for is a call like any other, and what it corrects must still fit", async () => {
    const [model, judge] = [new Model(), new Model()];
    await model.script({ json: { risk: 7 } });
    await judge.script({ json: { passes: false, why: "Too high.", corrected: '{"risk":1}' } });
    const rules = [polite(judge, { outcome: "fix" })];
    const run = await admin.begin({ steps: [say(model, { outputSchema: risk, guardrails: rules })] });
    const ended = await run.end();
    expect(ended).toMatchObject({ output: { risk: 1 }, usage: { calls: 2, inputTokens: 20 } });
    expect((await callsOf(run.id)).map(({ model: name }) => name).toSorted()).toEqual([model.name, judge.name].toSorted());
    expect(await asked(judge, 0)).toContain("It is polite.");
    await model.script({ json: { risk: 7 } });
    await judge.script({ json: { passes: false, why: "Too high.", corrected: '{"risk":"low"}' } });
    expect((await admin.finish({ steps: [say(model, { outputSchema: risk, guardrails: rules })] })).error).toMatchObject({
      type: "schema",
    });
    const capped = {
      budget: { modelCalls: 1, onExceed: "fail" },
      steps: [say(model, { guardrails: [polite(judge, { outcome: "raise" })] })],
    };
    expect((await admin.finish(capped)).error).toMatchObject({ type: "budget_exceeded" });
  });

  /** The budget lets no second judge look at the first answer, which that one would refuse. */
  const unjudged = async (onExceed: string, onError: string) => {
    const models = [new Model(), new Model(), new Model()];
    const [model, first, second] = models as [Model, Model, Model];
    await model.script({ text: "Hello." }, { text: "Good day." });
    await first.script(...Array.from({ length: 4 }, () => passes));
    await second.script({ json: { passes: false, why: "Too short." } }, passes);
    const guardrails = [polite(first, { on: ["input", "output"], outcome: "raise" }), polite(second, { name: "kind", outcome: "raise" })];
    const run = await admin.begin({ budget: { modelCalls: 3, onExceed }, steps: [say(model, { guardrails, onError })] });
    const made = () => Promise.all(models.map(async (each) => (await each.calls()).length));
    const raise = async (): Promise<void> => {
      expect(await made()).toEqual([1, 2, 0]);
      expect((await admin.request("PATCH", `/api/v2/runs/${run.id}/budget`, { body: { modelCalls: null } })).status).toBe(200);
    };
    return { run, made, raise };
  };

  test("whose judge a budget refuses has nothing paid again in a retry of the run, until the answer is judged", async () => {
    const { run, made, raise } = await unjudged("fail", "fail");
    expect((await run.end()).error).toMatchObject({ code: "budget_exceeded" });
    await raise();
    const again = await begun(run, "retry");
    expect((await again.end()).error).toMatchObject({ code: "guardrail", usage: { calls: 1 } });
    expect(await made()).toEqual([1, 2, 1]);
    expect(await statusesOf(again.id)).toEqual(expect.arrayContaining(["cached", "cached", "cached", "answered"]));
    const last = await begun(again, "retry");
    expect(await last.end()).toMatchObject({ output: "Good day.", usage: { calls: 4 } });
    expect(await made()).toEqual([2, 4, 2]);
  });

  test("whose judge a budget refuses has nothing paid again when that is raised, until the answer is judged", async () => {
    const { run, made, raise } = await unjudged("pause", "park");
    await run.until("run.needs_attention");
    await raise();
    let parked = 0;
    for await (const { type } of run.stream()) if (type === "step.parked" && ++parked === 2) break;
    expect(await made()).toEqual([1, 2, 1]);
    await run.attend("say", "retry");
    expect(await run.end()).toMatchObject({ output: "Good day.", usage: { calls: 8 } });
    expect(await made()).toEqual([2, 4, 2]);
  });

  test("asks people about the very words, of the question and of the answer", async () => {
    const model = new Model();
    await model.script({ text: `It is ${card}.` }, { text: `It is ${card}.` });
    const guardrails = [{ ...cards, on: ["input", "output"], outcome: "human", assignees: ["role:admin"], expiresAfter: "1h" }];
    const step = say(model, { prompt: `Bill ${card}.`, guardrails });
    const run = await admin.begin({ steps: [step] });
    const first = await run.approval("say[0].approve");
    expect((await admin.get(`/api/v2/approvals/${first}`)).body).toMatchObject({ payload: `Bill ${card}.`, assignees: ["role:admin"] });
    expect(await model.calls()).toHaveLength(0);
    await admin.decide(first, { decision: "approve" });
    const second = await run.approval("say[1].approve");
    expect((await admin.get(`/api/v2/approvals/${second}`)).body).toMatchObject({ payload: `It is ${card}.` });
    await admin.decide(second, { decision: "approve" });
    expect((await run.end()).output).toBe(`It is ${card}.`);
    const other = await admin.begin({ steps: [{ ...step, prompt: "Bill." }] });
    await admin.decide(await other.approval("say[0].approve"), { decision: "reject", comment: "not that one" });
    expect((await other.end()).error).toMatchObject({
      type: "guardrail",
      rule: "cards",
      detail: expect.stringContaining("not that one") as unknown,
    });
  });
});

const call = (name: string, args: JsonObject, id = `call_${name}`) => ({ id, name, arguments: args });
const agent = (model: Model, guardrails: object[], more: object = {}) => ({
  id: "work",
  type: "agent",
  model: model.wanted,
  prompt: "Double.",
  tools: ["test.double", "test.list"],
  guardrails,
  ...more,
});

describe("a guardrail of an agent", () => {
  test("looks at calls before they are made, and at what tools give before the model reads it", async () => {
    const model = new Model();
    const asks = { toolCalls: [call("test_double", { n: 13 }, "a"), call("test_list", { count: 1, bytes: 3 }, "b")] };
    await model.script(
      asks,
      { toolCalls: [call("test_double", { n: 4 }, "a"), call("test_list", { count: 1, bytes: 3 }, "b")] },
      { text: "8" },
    );
    const rules = [
      {
        name: "small",
        type: "schema",
        schema: { properties: { n: { maximum: 9 } } },
        on: ["toolCalls"],
        tools: ["test.d*"],
        outcome: "retry",
      },
      word("xxx", { on: ["toolResults"], tools: ["test.list"], outcome: "fix" }),
    ];
    const run = await admin.begin({ steps: [agent(model, rules)] });
    expect((await run.end()).output).toBe("8");
    expect(await asked(model, 1)).toContain("Guardrail small did not let a call (test.double) pass: /n must be <= 9.");
    const last = await asked(model, 2);
    expect(last).toContain('{\\"n\\":8}');
    expect(last).toContain("…");
    expect(last).not.toContain("xxx");
    expect(await decided(run)).toMatchObject([
      { rule: "small", outcome: "retry", tool: "test.double" },
      { rule: "word", outcome: "fix", tool: "test.list" },
    ]);
  });

  test("asks people about the exact arguments, and those of its publisher whatever the step says", async () => {
    const model = new Model();
    await model.script({ toolCalls: [call("test_double", { n: 13 })] }, { text: card });
    const name = `guarded-${Date.now()}`;
    const own = { ...word("13", { on: ["toolCalls"], outcome: "human" }), assignees: ["role:finance"] };
    const body = { name, version: "1.0.0", instructions: "You count.", model: model.wanted, tools: ["test.double"], guardrails: [own] };
    expect(await admin.post("/api/v2/agents", body)).toMatchObject({ status: 201 });
    const step = { id: "work", type: "agent", agent: name, prompt: "Double.", approval: { tools: ["test.*"], assignees: ["role:anyone"] } };
    const run = await admin.begin({ steps: [{ ...step, guardrails: [{ ...cards, on: ["output"], outcome: "raise" }] }] });
    const id = await run.approval("work[0].act[0].approve");
    expect((await admin.get(`/api/v2/approvals/${id}`)).body).toMatchObject({
      title: expect.stringContaining("Guardrail word") as unknown,
      payload: { tool: "test_double", arguments: { n: 13 } },
      assignees: ["role:finance"],
    });
    await admin.decide(id, { decision: "approve" });
    expect((await run.end()).error).toMatchObject({ type: "guardrail", rule: "cards", on: "output" });
    expect((await run.step("work[0].act[0].call")).output).toEqual({ n: 26 });
    const approval = { tools: ["test.*"], assignees: ["role:treasury"] };
    expect(await admin.post("/api/v2/agents", { ...body, version: "1.1.0", approval })).toMatchObject({ status: 201 });
    await model.script({ toolCalls: [call("test_double", { n: 13 })] });
    const stricter = await admin.begin({ steps: [step] });
    const again = await stricter.approval("work[0].act[0].approve");
    expect((await admin.get(`/api/v2/approvals/${again}`)).body).toMatchObject({ assignees: ["role:treasury"] });
  });

  test("is refused with its place where it cannot work, and where a policy does not let it judge", async () => {
    const bad = {
      name: "x",
      version: "1.0.0",
      instructions: "i",
      guardrails: [{ ...cards, pattern: "(", on: ["input"], outcome: "retry" }],
    };
    expect((await admin.post("/api/v2/agents", bad)).body).toMatchObject({
      errors: [{ pointer: "/guardrails/0/outcome" }, { pointer: "/guardrails/0/pattern" }],
    });
    const name = `judged-${Date.now()}`;
    const body = { name, version: "1.0.0", instructions: "i", guardrails: [polite(new Model(), { outcome: "raise" })] };
    expect(await admin.post("/api/v2/agents", body)).toMatchObject({ status: 201 });
    const model = new Model();
    const steps = [{ id: "work", type: "agent", agent: name, model: model.wanted, prompt: "Hi" }];
    expect((await admin.finish({ policy: { models: [model.wanted] }, steps })).error).toMatchObject({ type: "policy" });
  });
});

describe("a worker that is killed while a guardrail is judged", () => {
  afterAll(() => host.heal());

  test("has neither the answer nor the verdicts paid again that were there", async () => {
    const [model, first, second] = [new Model(), new Model(), new Model()];
    await model.script({ text: "Hello." });
    await first.script(passes);
    await second.script({ ...passes, delayMs: 60_000 }, passes);
    const guardrails = [polite(first, { outcome: "raise" }), polite(second, { name: "kind", outcome: "raise" })];
    const run = await admin.begin({ steps: [say(model, { guardrails, heartbeat: "2s" })] });
    await second.calls(1);
    await host.kill("worker");
    await host.start("worker");
    expect((await run.end()).output).toBe("Hello.");
    expect([(await model.calls()).length, (await first.calls()).length, (await second.calls()).length]).toEqual([1, 1, 2]);
  });
});
