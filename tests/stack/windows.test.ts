import { expect, test } from "@jest/globals";
import type { Page } from "./client.ts";
import { admin, host, type RunBody } from "./client.ts";

const number = (id: string, n: unknown) => ({ id, type: "tool", tool: "test.number", arguments: { n } });

test("a foreach over 620 items is done in child runs, survives a killed worker, and gives its results in order", async () => {
  const items = Array.from({ length: 620 }, (_, index) => index);
  const steps = [
    {
      id: "each",
      type: "foreach",
      items: "${input.items}",
      concurrency: 40,
      steps: [number("n", "${item}"), { id: "i", type: "set", values: "${item}" }],
    },
    { id: "sum", type: "set", values: "${steps.each.output.size()}" },
  ];
  const run = await admin.begin({ steps, output: "${steps.each.output}" }, { items });
  await run.until("child.started");
  await host.kill("worker");
  await host.start("worker");
  const ended = await run.end();
  expect(ended).toMatchObject({ status: "completed", output: items });
  const { body: children } = await admin.get<Page<RunBody>>(`/api/v2/runs?parentId=${run.id}`);
  expect(children.data).toHaveLength(4);
  expect((await host.historySize("default", run.id)).events).toBeLessThan(200);
});
