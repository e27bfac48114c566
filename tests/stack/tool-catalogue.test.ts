import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { afterAll, describe, expect, test } from "@jest/globals";
import { admin, facts, host, Place, type Client, type Page } from "./client.ts";
import { begun } from "./going-on.ts";
import { newerTools } from "./newer-tools.ts";

// What is killed here is found by its process on Linux only.
const onLinux = process.platform === "linux" ? describe : describe.skip;

const once = { retry: { maxAttempts: 1 } };
const tool = (id: string, name: string, more: object = {}) => ({ id, type: "tool", tool: name, arguments: {}, ...more });
const newer = newerTools(new URL(facts.ledgerUrl).host);

interface VersionsBody {
  latest: string;
  versions: { version: string; input: object }[];
  page: { next: string | null; hasMore: boolean };
}

interface Execution {
  runId: string;
  step: string;
  outcome: string;
  detail: string | null;
}

const stranger = (): Promise<Client> =>
  admin.withKey({ principal: "s", kind: "person", roles: ["admin"], tenant: `other-${randomUUID().slice(0, 8)}` });

/** They are written a moment after the call. */
async function executionsOf(name: string, run: string, client = admin): Promise<Execution[]> {
  for (const patience = Date.now() + 60_000; ;) {
    const { body } = await client.get<Page<Execution>>(`/api/v2/tools/${name}/executions?limit=200`);
    const own = body.data.filter(({ runId }) => runId === run);
    if (own.length > 0 || Date.now() > patience) return own;
    await new Promise((later) => setTimeout(later, 100));
  }
}

describe("the catalogue of tools", () => {
  test("names what workers have, with its schemas", async () => {
    const { body } = await admin.get<Page<{ name: string; version: string }>>("/api/v2/tools?limit=200");
    const listed = body.data.map(({ name, version }) => `${name} ${version}`);
    const known = ["files.readText 1.0.0", "test.double 1.0.0", "test.versioned 2.0.0", "time.now 1.0.0"];
    expect(listed).toEqual(expect.arrayContaining(known));
    expect(listed.filter((each) => each.startsWith("test.versioned "))).toHaveLength(1);
    const { body: double } = await admin.get("/api/v2/tools/test.double");
    expect(double).toMatchObject({
      version: "1.0.0",
      effect: "read",
      server: null,
      input: { required: ["n"] },
      output: { type: "object" },
    });
    expect(await admin.get("/api/v2/tools/test.nothing")).toMatchObject({ status: 404 });
  });

  test("goes page by page", async () => {
    const first = (await admin.get<Page<{ name: string }>>("/api/v2/tools?limit=2")).body;
    const second = (await admin.get<Page<{ name: string }>>(`/api/v2/tools?limit=2&cursor=${first.page.next}`)).body;
    const names = [...first.data, ...second.data].map(({ name }) => name);
    expect(names).toEqual([...new Set(names)].toSorted());
    expect(names).toHaveLength(4);
  });

  test("keeps all versions, and tells them page by page, the highest first", async () => {
    const path = "/api/v2/tools/test.versioned/versions";
    const read = async (query: string): Promise<VersionsBody> => (await admin.get<VersionsBody>(`${path}?${query}`)).body;
    const numbers = ({ versions }: VersionsBody): string[] => versions.map(({ version }) => version);
    const first = await read("limit=2");
    expect([first.latest, first.page.hasMore, ...numbers(first)]).toEqual(["2.0.0", true, "2.0.0", "1.2.0"]);
    expect(numbers(await read(`cursor=${first.page.next}`))[0]).toBe("1.0.0");
    expect((await admin.get("/api/v2/tools/test.versioned?version=1.2.0")).body).toMatchObject({ version: "1.2.0" });
  });

  test("says how calls went, to the tenant whose calls they were", async () => {
    const run = await admin.begin({
      steps: [tool("a", "test.double", { arguments: { n: 1 } }), tool("b", "test.breaks", { ...once, onError: "continue" })],
    });
    await run.end();
    expect(await executionsOf("test.double", run.id)).toMatchObject([{ step: "a", outcome: "ok" }]);
    expect(await executionsOf("test.breaks", run.id)).toMatchObject([
      { step: "b", outcome: "tool", detail: "test.breaks: broken on purpose" },
    ]);
    expect((await admin.get("/api/v2/tools/test.breaks")).body).toMatchObject({
      health: "failing",
      statistics: { successRate: 0, lastError: { outcome: "tool" }, p50Ms: expect.any(Number), p95Ms: expect.any(Number) },
    });
    const other = await stranger();
    expect((await other.get<Page<Execution>>("/api/v2/tools/test.double/executions")).body.data).toEqual([]);
    expect((await other.get("/api/v2/tools/test.double")).body).toMatchObject({
      health: "unused",
      statistics: { calls: 0, lastError: null },
    });
  });
});

describe("a step that asks for a version", () => {
  const says = async (version?: string) =>
    (await admin.finish({ steps: [tool("v", "test.versioned", version === undefined ? {} : { version })] })).output;

  test("gets the highest that fits", async () => {
    expect(await Promise.all([says(), says("1.0.0"), says("^1.0"), says("~1.0.0"), says("*")])).toEqual([
      "2.0.0",
      "1.0.0",
      "1.2.0",
      "1.0.0",
      "2.0.0",
    ]);
  });

  test("fails when no worker has it", async () => {
    const { error } = await admin.finish({ steps: [tool("v", "test.versioned", { version: "^3", ...once })] });
    expect(error).toMatchObject({ type: "tool", detail: expect.stringContaining("There is: 2.0.0, 1.2.0, 1.0.0") });
  });
});

onLinux("a newer version of a tool", () => {
  afterAll(async () => {
    await rm(newer, { force: true });
    await host.kill("worker");
    await host.start("worker");
  });

  test("is not used by a run that has settled its range, nor by a retry of it", async () => {
    const place = new Place();
    await place.script({ status: 400 });
    const range = { version: "^1" };
    const steps = [
      tool("first", "test.versioned", range),
      { id: "wait", type: "listen", one: { event: "go" } },
      tool("second", "test.versioned", range),
      { id: "bad", type: "http", url: place.url, ...once },
      tool("third", "test.versioned", range),
    ];
    const run = await admin.begin({ steps });
    await run.until("listen.started");
    await writeFile(newer, "");
    await host.kill("worker");
    await host.start("worker");
    expect((await admin.finish({ steps: [tool("v", "test.versioned", range)] })).output).toBe("1.9.0");
    await run.signal("go");
    expect(await run.end()).toMatchObject({ status: "failed" });
    expect((await run.step("second")).output).toBe("1.2.0");
    expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "completed", output: "1.2.0" });
  });
});

describe("a built-in tool", () => {
  test("calculates, counts and calls, step by step", async () => {
    const place = new Place();
    await place.script({ status: 404 });
    const run = await admin.finish(
      {
        policy: { hosts: ["127.0.0.1"] },
        steps: [
          tool("total", "math.evaluate", { arguments: { expression: "sum(n) * 2", values: { n: "${input}" } } }),
          tool("get", "http.get", { arguments: { url: place.url } }),
          tool("post", "http.request", { arguments: { url: place.url, body: { total: "${steps.total.output.value}" } } }),
          tool("words", "text.count", { arguments: { text: "one two" } }),
        ],
        output: ["${steps.total.output.value}", "${steps.get.output.status}", "${steps.post.output.ok}", "${steps.words.output.words}"],
      },
      [1, 2],
    );
    expect(run).toMatchObject({ status: "completed", output: [6, 404, true, 2] });
    expect((await place.calls()).map(({ method, body }) => [method, body])).toEqual([
      ["GET", ""],
      ["POST", '{"total":6}'],
    ]);
  });

  test("that is refused by policy says so in the run", async () => {
    const place = new Place();
    const run = await admin.finish({ policy: { hosts: [] }, steps: [tool("get", "http.get", { arguments: { url: place.url } })] });
    expect(run).toMatchObject({ status: "failed", error: { type: "policy", instance: "get" } });
    expect(await place.calls()).toHaveLength(0);
  });

  test("of a database that nobody has named says how to name it", async () => {
    const run = await admin.finish({ steps: [tool("ask", "sql.query", { arguments: { connection: "shop", query: "SELECT 1" } })] });
    expect(run.error).toMatchObject({ type: "tool_input", detail: expect.stringContaining("TENUTO_SQL=default/") });
  });
});

describe("a definition's policy", () => {
  test("refuses what it does not let pass when it is published", async () => {
    const answer = await admin.post("/api/v2/workflows", {
      name: "policy-refused",
      version: "1.0.0",
      policy: { tools: ["files.*"] },
      steps: [tool("a", "test.double", { arguments: { n: 1 } })],
    });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ code: "policy", path: "steps[0].tool" }] } });
  });

  test("refuses what only the run could name", async () => {
    const [place, model] = [new Place(), "local/extractive"];
    const definition = { policy: { hosts: ["api.example.com"], models: ["openai/*"], tools: [] } };
    const http = await admin.finish({ ...definition, steps: [{ id: "h", type: "http", url: "${input}" }] }, place.url);
    expect(http).toMatchObject({ status: "failed", error: { type: "policy", detail: expect.stringContaining("policy.hosts") } });
    expect(await place.calls()).toHaveLength(0);
    const llm = await admin.finish({ ...definition, steps: [{ id: "l", type: "llm", model: "${input}", prompt: "x" }] }, model);
    expect(llm).toMatchObject({ status: "failed", error: { type: "policy", detail: expect.stringContaining("policy.models") } });
  });

  test("lets pass what it names", async () => {
    const place = new Place();
    const run = await admin.finish(
      {
        policy: { hosts: ["127.0.0.1"], tools: ["test.*"] },
        steps: [tool("a", "test.double", { arguments: { n: 1 } }), { id: "h", type: "http", url: "${input}" }],
      },
      place.url,
    );
    expect(run).toMatchObject({ status: "completed" });
  });
});
