import { describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, Model, Place, uniqueName } from "./client.ts";

const call = (name: string, args: JsonObject) => ({ id: `call_${name}`, name, arguments: args });
const double = (n: number) => call("test_double", { n });
const named = (agent: string) => ({ id: "work", type: "agent", agent, prompt: "Double 4." });
const stop = (name: string) => admin.post(`/api/v2/agents/${name}/state`, { state: "stopped", why: "test" });

async function publish(more: object): Promise<string> {
  const name = uniqueName("agent");
  expect(await admin.post("/api/v2/agents", { name, version: "1.0.0", instructions: "You count.", ...more })).toMatchObject({
    status: 201,
  });
  return name;
}

describe("an agent that is stopped", () => {
  test("has nothing more begun by a workflow that it has started, but what undoes what was done", async () => {
    const [model, said] = [new Model(), new Model()];
    const [done, undone, place] = [new Place(), new Place(), new Place()];
    const http = (id: string, at: Place, more: object = {}) => ({ id, type: "http", method: "POST", url: at.url, ...more });
    const steps = [
      http("book", done, { compensate: [http("cancel", undone)] }),
      { id: "ask", type: "approval", title: "Go on?" },
      { ...http("send", place), onError: "continue" },
      { id: "tell", type: "message", to: "nobody", messageType: "news", onError: "continue" },
      { id: "say", type: "llm", model: said.wanted, prompt: "Say it." },
    ];
    const workflow = await admin.publish({ steps });
    const name = await publish({ model: model.wanted, tools: [{ workflow, as: "go" }] });
    await model.script({ toolCalls: [call("go", {})] });
    const run = await admin.begin({ steps: [named(name)] });
    const child = admin.run((await run.until("child.started")).data["runId"] as string);
    const id = await child.approval("ask");
    await stop(name);
    await new Promise((wake) => setTimeout(wake, 2_500));
    await admin.decide(id, { decision: "approve" });
    const refused = { status: "failed", error: { type: "agent_state" } };
    expect(await child.end()).toMatchObject(refused);
    for (const path of ["send", "tell", "say"]) expect(await child.step(path)).toMatchObject({ error: refused.error });
    expect(await run.end()).toMatchObject(refused);
    const calls = await Promise.all([done, undone, place, said].map(async (each) => (await each.calls()).length));
    expect(calls).toEqual([1, 1, 0, 0]);
  });

  test("has nothing more begun by those whom it has asked, nor by those whom they have asked", async () => {
    const [first, second, third] = [new Model(), new Model(), new Model()];
    const last = await publish({ model: third.wanted, tools: ["test.double"], approval: { tools: ["test.*"] } });
    const middle = await publish({ model: second.wanted, tools: [{ agent: last, as: "ask" }] });
    const name = await publish({ model: first.wanted, tools: [{ agent: middle, as: "ask" }] });
    for (const model of [first, second]) await model.script({ toolCalls: [call("ask", { prompt: "Double 4." })] });
    await third.script({ toolCalls: [double(4)] }, { text: "8" });
    const run = await admin.begin({ steps: [named(name)] });
    const child = admin.run((await run.until("child.started")).data["runId"] as string);
    const grandchild = admin.run((await child.until("child.started")).data["runId"] as string);
    const id = await grandchild.approval("task[0].act[0].approve");
    await stop(name);
    await new Promise((wake) => setTimeout(wake, 2_500));
    await admin.decide(id, { decision: "approve" });
    for (const each of [run, child, grandchild])
      expect((await each.end()).error).toMatchObject({ type: "agent_state", detail: expect.stringContaining(name) as unknown });
    expect(await grandchild.step("task[0].act[0].call")).toMatchObject({ status: "failed", error: { type: "agent_state" } });
    expect(await Promise.all([first, second, third].map(async (model) => (await model.calls()).length))).toEqual([1, 1, 1]);
    expect((await admin.finish({ steps: [named(middle)] })).status).toBe("completed");
  });
});
