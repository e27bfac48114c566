import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, type Definition, type Page } from "./client.ts";
import { begun } from "./going-on.ts";

const file = new URL("../../examples/dependency-team/definition.json", import.meta.url);

test("the agents of the example review a package, stop for a person, stay below their budget and remember the verdict", async () => {
  const { name: _, ...definition } = JSON.parse(await readFile(file, "utf8")) as Definition;
  const workflow = await admin.publish(definition as Definition);
  const run = await admin.start(workflow, { name: "zod", model: "local/extractive" });

  const { data: asked } = await run.until("approval.requested");
  expect(asked).toMatchObject({ assignees: ["role:reviewer"], payload: { tool: "packages_record", arguments: { name: "zod" } } });
  await admin.decide(asked["id"] as string, { decision: "approve" });

  const { status, output, usage } = await run.end();
  expect({ status, output }).toMatchObject({ status: "completed", output: { name: "zod", licence: "MIT" } });
  expect((await run.step("research")).output).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as unknown });
  expect((await run.step("report[0].act[0].call")).output).toMatchObject({ text: expect.stringMatching(/^recorded: .* zod$/) as unknown });

  const { body } = await admin.get<{ budgets: { modelCalls: { spent: number; left: number } }[] }>(`${run.path}/budget`);
  expect(body.budgets[0]!.modelCalls).toMatchObject({ spent: usage.calls, max: 40 });

  const memories = await admin.get<Page<JsonObject>>(`/api/v2/agents/${workflow}%2Freport/memories`);
  expect(memories.body.data).toMatchObject([{ subject: "zod", runId: run.id, writtenBy: "admin" }]);
  const again = await begun(run, "fork", { from: "report" });
  await again.until("step.completed", "report.brief");
  expect((await again.step("report.brief")).output).toMatchObject({ context: { memories: { found: 1, given: 1 } } });
  await again.cancel();
}, 180_000);
