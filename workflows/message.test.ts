import { describe, expect, test } from "@jest/globals";
import { replyEvent } from "../contracts/agent-messages.ts";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import { definition, tool } from "../tests/walk/steps.ts";

const ask = (more: object = {}) => ({ id: "ask", type: "message", to: "clerk", messageType: "question", replyTimeout: "1m", ...more });
const answer = (data: object): Json => ({ id: "r", from: "clerk", type: "reply", payload: null, ...data });

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  /** What comes, and when. */
  const run = (steps: object[], replies: [ms: number, message: string, data: Json][] = []): Promise<PlainRun> =>
    runPlain(definition(steps), {
      continues,
      steer: (walk, port) => {
        for (const [ms, message, data] of replies)
          port.at(ms, () => walk.mailbox.post({ event: replyEvent(message), data, id: `${message} ${ms}`, at: ms }));
      },
    });

  test("a message without `replyTimeout` is sent, and that is all", async () => {
    const { end, port } = await run([tool("before"), ask({ replyTimeout: undefined, payload: "${steps.before.output}" })]);
    expect(end.result.output).toEqual({ id: "message-1", correlationId: "message-1" });
    expect(port.messages).toMatchObject([{ to: [{ kind: "agent", name: "clerk" }], type: "question", payload: "before" }]);
    expect(port.messages[0]).not.toHaveProperty("replyUntil");
  });

  test("the answer is the one to this message, whatever else comes", async () => {
    const others: [number, string, Json][] = [
      [10, "message-9", answer({ payload: "other" })],
      [20, "message-1", answer({ payload: 8 })],
    ];
    const { end, port } = await run([tool("before"), ask()], others);
    expect(end.result.output).toMatchObject({ payload: 8, from: "clerk", correlationId: "message-1" });
    expect(port.messages).toHaveLength(1);
    expect(port.log.filter(({ type }) => type === "message.sent")).toMatchObject([
      { step: "ask", data: { id: "message-1", to: { agent: "clerk" }, until: expect.any(String) as unknown } },
    ]);
  });

  test("no answer in time is an error of its own", async () => {
    const { end } = await run([ask()]);
    expect(end.error).toMatchObject({ type: "no_reply", status: 504, instance: "ask", message: "message-1" });
    const caught = await run([ask({ catch: [{ errors: ["no_reply"], steps: [{ id: "none", type: "set", values: "nobody" }] }] })]);
    expect(caught.end.result.output).toBe("nobody");
  });

  test("an agent that fails says so at once", async () => {
    const problem = makeProblem("model", "The model is gone.");
    const { end, port } = await run([ask()], [[20, "message-1", answer({ type: "no_reply", problem })]]);
    expect(end.error).toMatchObject({
      type: "no_reply",
      detail: expect.stringContaining("The model is gone.") as unknown,
      reason: { code: "model" },
    });
    expect(port.now()).toBeLessThan(60_000);
  });

  test("each attempt of a step that waits is a message of its own", async () => {
    const { end, port } = await run(
      [ask({ retry: { maxAttempts: 2, initialInterval: "1s" } })],
      [[90_000, "message-2", answer({ payload: "late" })]],
    );
    expect(end.result.output).toMatchObject({ payload: "late" });
    expect(new Set(port.messages.map(({ key }) => key)).size).toBe(2);
  });
});

test.each([
  [{ to: "${7}" }, "`to` of ask must be an agent's name"],
  [{ messageType: `\${'${"x".repeat(51)}'}` }, "messageType"],
  [{ to: "${'clerk\\u0000'}" }, "`to` of ask must be an agent's name"],
  [{ to: { webhook: "${input}" } }, "`to` of ask must be an agent's name"],
  [{ messageType: "${'a\\u0000b'}" }, "`messageType` of ask must be a text of 1 to 50 characters"],
  [{ messageType: "${input}" }, "`messageType` of ask must be a text of 1 to 50 characters"],
  [{ messageType: "${''}" }, "`messageType` of ask must be a text of 1 to 50 characters"],
])("what an expression gives is looked at: %j", async (fields, said) => {
  const { end } = await runPlain({ name: "test", version: "1.0.0", steps: [ask(fields)] }, { input: "\ud800" });
  expect(end.error).toMatchObject({ type: "expression", detail: expect.stringContaining(said) as unknown });
});
