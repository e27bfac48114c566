import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { limits } from "../contracts/limits.ts";
import { startMcpServer, type McpTestServer } from "../tests/servers/mcp-server.ts";
import { testContext } from "../tests/work-context.ts";
import { createEgress } from "./egress.ts";
import { createGuardedFetch } from "./guarded-fetch.ts";
import { McpSession } from "./mcp-session.ts";

let server: McpTestServer;
beforeAll(async () => void (server = await startMcpServer()));
afterAll(() => server.close());

async function offerOf(path: string, timeoutMs: number) {
  const context = testContext({ timeoutMs });
  const url = `${server.url}${path}`;
  const fetch = createGuardedFetch(createEgress({ allow: [new URL(url).host] }), undefined);
  const session = await McpSession.open("s", { url, headers: {}, fetch }, context);
  try {
    return await session.offer(context);
  } finally {
    await session.close();
  }
}

test("a server's tools are listed", async () => {
  expect((await offerOf("/plain", 60_000)).tools.map(({ name }) => name)).toContain("add");
  expect(server.lists("/plain")).toBe(1);
});

test("a list that begins again, or has no end, is refused", async () => {
  const refused = { code: "limit", message: expect.stringContaining("without an end") };
  await expect(offerOf("/circle", 60_000)).rejects.toMatchObject(refused);
  expect(server.lists("/circle")).toBe(2);
  await expect(offerOf("/endless", 60_000)).rejects.toMatchObject(refused);
  expect(server.lists("/endless")).toBe(limits.mcpPagesMax);
});

test("its pages share one deadline", async () => {
  await expect(offerOf("/tardy", 300)).rejects.toMatchObject({ code: "timeout" });
  // Each takes 100 ms.
  expect(server.lists("/tardy")).toBeLessThanOrEqual(3);
});
