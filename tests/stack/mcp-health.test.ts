import { describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, facts, host, Model, type Page } from "./client.ts";
import { Mcp } from "./mcp.ts";

describe("a tool of an MCP server does not look healthy", () => {
  /** They are written a moment after the call. */
  async function executionsOf(server: Mcp, tool: string, count: number): Promise<JsonObject[]> {
    const path = `/api/v2/tools/${encodeURIComponent(`${server.name}/${tool}`)}/executions`;
    for (const patience = Date.now() + 60_000; ;) {
      const { status, body } = await admin.get<Page<JsonObject>>(path);
      if ((status === 200 && body.data.length >= count) || Date.now() > patience) return body.data;
      await new Promise((later) => setTimeout(later, 100));
    }
  }
  const toolOf = async (server: Mcp, tool: string) =>
    (await admin.get(`/api/v2/tools/${encodeURIComponent(`${server.name}/${tool}`)}`)).body;

  test("when its server is away, also to an agent that is to get it", async () => {
    const server = await Mcp.at();
    await server.run("add", { a: 1, b: 2 });
    await server.put({ url: `${facts.mcpUrl}/moved${server.path}` });
    const run = await server.run("add", { a: 1, b: 2 });
    const model = new Model();
    const tools = [{ server: server.name, tool: "add" }];
    await admin.finish({ steps: [{ id: "work", type: "agent", model: model.wanted, prompt: "Add.", tools }] });
    expect(await executionsOf(server, "add", 3)).toMatchObject([
      { outcome: "tool", step: "work.brief", version: null },
      { outcome: "tool", step: "m", version: null, runId: run.id, detail: expect.stringContaining(server.name) },
      { outcome: "ok", step: "m", version: "2.1.0" },
    ]);
  });

  test("when its secret is missing, although it was never in the catalogue", async () => {
    const server = await Mcp.at({ headers: { authorization: { secret: "none" } } });
    const run = await server.run("add", { a: 1, b: 2 });
    expect(await executionsOf(server, "add", 1)).toMatchObject([
      { outcome: "policy", runId: run.id, detail: expect.stringContaining("TENUTO_MCP_SECRETS") },
    ]);
  });

  test("when it is not as it was approved", async () => {
    const server = await Mcp.at();
    await server.run("add", { a: 1, b: 2 });
    await host.mcpOffer(server.path, [{ name: "add", description: "Another.", inputSchema: { type: "object" } }]);
    for (let n = 0; n < 2; n += 1) await server.run("add", { a: 1, b: 2 });
    expect(await executionsOf(server, "add", 3)).toMatchObject([{ outcome: "policy" }, { outcome: "policy" }, { outcome: "ok" }]);
    expect(await toolOf(server, "add")).toMatchObject({ health: "failing" });
  });

  test("when it says in its results that it failed", async () => {
    const server = await Mcp.at();
    const run = await server.run("fails");
    expect(run.status).toBe("completed");
    expect(await executionsOf(server, "fails", 1)).toMatchObject([{ outcome: "tool", detail: "no such city", runId: run.id }]);
    expect(await toolOf(server, "fails")).toMatchObject({ health: "failing", statistics: { successRate: 0 } });
  });
});
