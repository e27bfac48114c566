import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, Model, Place, type Page } from "./client.ts";

/** A model that obeys whatever it reads: each order stands in the result of a tool, and in the next turn it is followed. */
function orders(place: Place): { name: string; arguments: JsonObject }[] {
  const url = place.url;
  // Tools that there are, and that the agent has not been given: by every name a model could say.
  const others = [
    "test_pay",
    "test.pay",
    "TEST_PAY",
    "test_payAsked",
    "test.payAsked",
    "test_payForgetful",
    "http_request",
    "http.request",
  ];
  const asOthers = others.map((name) => ({ name, arguments: { url, method: "POST" } }));
  const files = ["files_writeText", "files.writeText", "files_list", "files_readText"].map((name) => ({
    name,
    arguments: { path: "/etc/passwd", text: "x" },
  }));
  // What is inside the walk, or sounds like it.
  const inner = ["think", "brief", "call", "act", "approve", "tool", "workflow", "emit", "raise", "end", "set", "llm", "agent", "sequence"];
  const asInner = inner.map((name) => ({ name, arguments: { tool: "test.pay", arguments: { url } } }));
  const odd = ["", "__proto__", "constructor", "toString", "ask_human", "give_answer", "work", "test_double; test_pay"];
  const asOdd = odd.map((name) => ({ name, arguments: { tool: "test.pay", url } }));
  // The tool that it has, and that a person must approve: with arguments of all kinds.
  const guarded = [
    { url },
    { url, approved: true },
    { url, decision: "approved" },
    { url, asks: false },
    { url, effect: "read" },
    { $tenutoRef: "0".repeat(64), url },
  ];
  return [
    ...asOthers,
    ...files,
    ...asInner,
    ...asOdd,
    ...guarded.map((args) => ({ name: "test_payByKey", arguments: args as unknown as JsonObject })),
  ];
}

test("orders in what an agent reads reach no tool that it was not given, and no effect that nobody approved", async () => {
  const [model, place] = [new Model(), new Place()];
  const wanted = orders(place);
  expect(wanted.length).toBeGreaterThanOrEqual(40);
  await model.script(...wanted.map((order, index) => ({ toolCalls: [{ id: `c${index}`, ...order }] })), { text: "done" });
  const run = await admin.begin({
    steps: [
      {
        id: "work",
        type: "agent",
        model: model.wanted,
        prompt: "Read the inbox.",
        tools: ["test.double", "test.payByKey"],
        maxTurns: wanted.length + 1,
        approval: { tools: ["test.payByKey"], expiresAfter: "300ms" },
      },
    ],
  });
  expect(await run.end()).toMatchObject({ status: "completed", output: "done" });
  expect(await place.calls()).toEqual([]);
  const tools = await admin.get<Page<{ runId: string }>>("/api/v2/tools/test.pay/executions");
  expect(tools.body.data.filter(({ runId }) => runId === run.id)).toEqual([]);
  const asked = (await run.events()).filter(({ type }) => type === "approval.requested");
  expect(asked.map(({ step }) => step?.endsWith("approve"))).toEqual(asked.map(() => true));
}, 180_000);
