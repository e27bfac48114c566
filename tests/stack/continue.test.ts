import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { answerByPath } from "../walk/answers.ts";
import { plain } from "../walk/plain.ts";
import { randomDefinition } from "../walk/random-definition.ts";
import { referenceRun } from "../walk/reference.ts";
import { admin, host, type Definition, type Run } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const number = (id: string, n: unknown = 1) => ({ id, type: "tool", tool: "test.number", arguments: { n } });
const identities = async (run: Run): Promise<string[]> => (await run.events()).map(({ type, step, seq }) => `${seq} ${type} ${step ?? ""}`);

/** Goes on in a new execution after every step. */
async function beginContinuing(definition: Definition, input: JsonObject = {}): Promise<Run> {
  return admin.run(await host.startContinuing(await admin.publish(definition), input, 1));
}

test("a run that goes on in new executions has one log, one status and one output", async () => {
  const definition = {
    vars: { sum: 0 },
    steps: [number("a"), { ...number("b", 2), export: { sum: "${output}" } }, set("c", "${[steps.a.output, vars.sum]}")],
  };
  const [whole, parts] = [await admin.begin(definition), await beginContinuing(definition)];
  const [expected, ended] = [await whole.end(), await parts.end()];
  expect(ended).toMatchObject({ status: "completed", output: expected.output });
  expect(await identities(parts)).toEqual(await identities(whole));
  expect(await host.executions("default", parts.id)).toBeGreaterThan(1);
});

test("an approval, an event and a timer that are open when the run goes on elsewhere are answered there", async () => {
  const branches = {
    busy: Array.from({ length: 4 }, (_, n) => number(`n${n}`)),
    ask: [{ id: "ask", type: "approval", title: "Go?" }],
    hear: [{ id: "hear", type: "listen", one: { event: "ping" } }],
    sleep: [{ id: "sleep", type: "wait", duration: "2s" }],
  };
  const run = await beginContinuing({ steps: [{ id: "p", type: "parallel", branches }, number("last")] });
  await run.until("step.completed", "p.busy.n3");
  await run.signal("ping", 7);
  expect((await admin.decide(`${run.id}~p.ask.ask`, { decision: "approve" })).status).toBeLessThan(300);
  const ended = await run.end();
  expect(ended.status).toBe("completed");
  const events = await run.events();
  expect(events.filter(({ type }) => type === "wait.started")).toHaveLength(1);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
});

test("a child that outlasts its parent's execution gives its output, and a failed one its problem", async () => {
  const child = await admin.publish({ steps: [{ id: "sleep", type: "wait", duration: "1500ms" }, { ...set("out", 42) }] });
  const bad = await admin.publish({
    steps: [
      { id: "sleep", type: "wait", duration: "1500ms" },
      { id: "no", type: "raise", error: { type: "odd" } },
    ],
  });
  const branches = {
    child: [{ id: "call", type: "workflow", workflow: child }],
    bad: [{ id: "call", type: "workflow", workflow: bad, catch: [{ steps: [set("type", "${error.type}")] }] }],
    busy: Array.from({ length: 4 }, (_, n) => number(`n${n}`)),
  };
  const run = await beginContinuing({ steps: [{ id: "p", type: "parallel", branches }] });
  expect(await run.end()).toMatchObject({ status: "completed", output: { child: 42, bad: "odd" } });
});

test("a cancelled run still puts things back in the executions that follow", async () => {
  const steps = [
    {
      id: "t",
      type: "try",
      steps: [{ id: "long", type: "wait", duration: "1h" }],
      finally: [number("one"), number("two"), number("three")],
    },
  ];
  const run = await beginContinuing({ steps });
  await run.until("wait.started");
  await run.cancel();
  expect((await run.end()).status).toBe("canceled");
  expect(await run.step("t.finally.three")).toMatchObject({ status: "completed" });
});

test("12 random definitions that go on in a new execution after every step end as the plain evaluator says", async () => {
  const chosen: number[] = [];
  for (let seed = 20_001; chosen.length < 12; seed++)
    if (!/"join"|"collect"|test.fail/.test(JSON.stringify(randomDefinition(seed)))) chosen.push(seed);
  await Promise.all(
    chosen.map(async (seed) => {
      const { steps } = randomDefinition(seed);
      const expected = referenceRun({ steps: steps! }, { n: seed % 7 }, answerByPath);
      const run = await beginContinuing({ steps: steps as JsonObject[] }, { n: seed % 7 });
      const { status, output } = await run.end();
      const isError = "error" in expected;
      expect({ seed, failed: status === "failed", output: isError ? null : plain(output) }).toEqual({
        seed,
        failed: isError,
        output: isError ? null : plain(expected.output),
      });
    }),
  );
});
