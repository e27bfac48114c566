import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "@jest/globals";
import { openDatabase } from "../../prisma/client.ts";
import { admin, Client, eventually, facts, host, uniqueName, type Answer, type Page } from "./client.ts";

interface Operation {
  operationId: string;
  security?: unknown[];
  parameters?: { name: string; in: string }[];
}

interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

const open = new Client("");
const document = async (): Promise<OpenApi> => (await open.get<OpenApi>("/api/v2/openapi.json")).body;
const operations = async () =>
  Object.entries((await document()).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );

describe("keys", () => {
  const robot = { principal: "robot", kind: "service", roles: ["developer"] };

  test("a new key works", async () => {
    const { body } = await admin.post("/api/v2/keys", robot);
    expect(await new Client(body["key"] as string).get("/api/v2/runs")).toMatchObject({ status: 200 });
  });

  test("a key is shown once: the list has its last characters only", async () => {
    const { body } = await admin.post("/api/v2/keys", robot);
    const list = await admin.get<Page<object>>("/api/v2/keys?limit=200");
    expect(JSON.stringify(list.body)).not.toContain(body["key"]);
  });

  test("a revoked key answers 401", async () => {
    const { body } = await admin.post("/api/v2/keys", robot);
    await admin.request("DELETE", `/api/v2/keys/${body["id"] as string}`);
    expect(await new Client(body["key"] as string).get("/api/v2/runs")).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
  });

  test("no key answers 401", async () => {
    expect(await open.get("/api/v2/runs")).toMatchObject({ status: 401 });
  });

  test("a key whose roles do not allow it answers 403", async () => {
    const viewer = await admin.withKey({ principal: "eve", kind: "person", roles: ["viewer"] });
    expect(await viewer.post("/api/v2/runs", { workflow: "x" })).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });

  test("only the platform's own key makes keys for other tenants", async () => {
    const other = await admin.withKey({ principal: "boss", kind: "person", roles: ["admin"] });
    expect(await other.post("/api/v2/keys", { ...robot, tenant: uniqueName() })).toMatchObject({ status: 403 });
  });

  test("the same Idempotency-Key shows the same key again", async () => {
    const key = uniqueName();
    const [first, second] = [await admin.post("/api/v2/keys", robot, key), await admin.post("/api/v2/keys", robot, key)];
    expect(second.body).toEqual(first.body);
    // The API may have died between the two.
    await host.forgetAnswers(key);
    expect(await admin.post("/api/v2/keys", robot, key)).toMatchObject({ status: 201, body: first.body });
  });

  test("the same Idempotency-Key shows a key to nobody else, for nothing else, and for a day only", async () => {
    const key = uniqueName();
    const other = await admin.withKey({ principal: "boss", kind: "person", roles: ["admin"] });
    const made = [await admin.post("/api/v2/keys", robot, key)];
    const again = async (by: Client, body: object) => {
      await host.forgetAnswers(key);
      made.push(await by.post("/api/v2/keys", body, key));
    };
    await again(other, robot);
    await again(admin, { ...robot, roles: ["admin"] });
    await again(admin, { ...robot, tenant: uniqueName() });
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
    expect(new Set(made.map(({ body }) => body["key"])).size).toBe(4);
    const database = openDatabase(facts.databaseUrl, 1);
    await database.$executeRaw`UPDATE api_keys SET created_at = now() - interval '25 hours' WHERE id = ${made[0]!.body["id"]}`;
    await database.$disconnect();
    await again(admin, robot);
    expect(made.at(-1)).toMatchObject({ status: 409, body: { code: "idempotency_mismatch" } });
  });
});

/** A body that would do, if only the thing were theirs. */
function bodyOf(path: string): object {
  const bodies: [end: string, body: object][] = [
    ["/signals", { event: "x" }],
    ["/decision", { decision: "approve" }],
    ["/plan", { operations: [{ op: "remove", path: "ask" }] }],
    ["/runs/{id}/migrate", { version: "1.0.0" }],
    ["/workflows/{name}/migrate", { to: "1.0.0" }],
    ["/approve", { pendingHash: "0".repeat(64) }],
    ["/auto-pause", { failureRate: 0.5, window: "1h", minimumRuns: 1 }],
    ["/schedules/{id}", { workflow: "x", every: "1h" }],
    ["/memories", { text: "x" }],
    ["/memories/purge", { all: true }],
    ["/agents/{name}/state", { state: "stopped", why: "x" }],
    ["/backfill", { start: "2026-01-01T00:00:00Z", end: "2026-01-02T00:00:00Z" }],
  ];
  return bodies.find(([end]) => path.endsWith(end))?.[1] ?? {};
}

describe("tenants", () => {
  const theirs = async () => {
    const [a, b] = await Promise.all(
      ["a", "b"].map((name) => admin.withKey({ principal: name, kind: "person", roles: ["admin"], tenant: uniqueName(name) })),
    );
    const workflow = await a!.publish({ steps: [{ id: "ask", type: "approval", title: "?" }] });
    await a!.post("/api/v2/agents", { name: workflow, version: "1.0.0", instructions: "x" });
    const memory = await a!.post<{ id: string }>(`/api/v2/agents/${workflow}/memories`, { text: "x" });
    const run = await a!.start(workflow);
    await a!.request("PUT", `/api/v2/mcp-servers/${workflow}`, { body: { url: "https://mcp.example.com" } });
    await a!.request("PUT", `/api/v2/budgets/agent:${workflow}`, { body: { usd: 1 } });
    const approval = await run.approval("ask");
    const keys = await a!.get<Page<{ id: string }>>("/api/v2/keys");
    await a!.request("PUT", `/api/v2/message-webhooks/${workflow}`, { body: { url: "https://hooks.example.com" } });
    const message = await a!.post<{ id: string }>("/api/v2/messages", { to: workflow, messageType: "x" });
    const made = { memory: memory.body.id, message: message.body.id };
    return { b: b!, ids: { workflow, run: run.id, approval, key: keys.body.data[0]!.id, ...made } };
  };

  test("every route with an id answers another tenant 404", async () => {
    const { b, ids } = await theirs();
    const answers: Record<string, number> = {};
    // A hook's address names the tenant it belongs to; a name that is put is the caller's own.
    const putsOwn = ["put /api/v2/mcp-servers/{name}", "put /api/v2/budgets/{scope}", "put /api/v2/message-webhooks/{name}"];
    const isOwned = ({ method, path }: { method: string; path: string }): boolean =>
      path.includes("{") && path.startsWith("/api") && !path.includes("{tenant}") && !putsOwn.includes(`${method} ${path}`);
    for (const { method, path } of (await operations()).filter(isOwned)) {
      const takesBody = ["post", "put", "patch"].includes(method);
      const answer = await b.request(method.toUpperCase(), filled(path, ids), takesBody ? { body: bodyOf(path) } : {});
      answers[`${method} ${path}`] = answer.status;
    }
    expect(Object.entries(answers).filter(([, status]) => status !== 404)).toEqual([]);
  });

  test.each(["workflows", "agents", "runs", "approvals", "messages", "message-webhooks"])(
    "the list of %s shows nothing of another tenant",
    async (list) => {
      const { b } = await theirs();
      expect((await b.get<Page<object>>(`/api/v2/${list}`)).body.data).toEqual([]);
    },
  );

  test("the stream of a run is not there for another tenant", async () => {
    const { b, ids } = await theirs();
    const response = await b.fetch("GET", `/api/v2/runs/${ids.run}/events`, { headers: { accept: "text/event-stream" } });
    expect(response.status).toBe(404);
  });

  test("another tenant's workflow cannot be started", async () => {
    const { b, ids } = await theirs();
    expect(await b.post("/api/v2/runs", { workflow: ids.workflow })).toMatchObject({ status: 404 });
  });

  test("two tenants may use one Idempotency-Key", async () => {
    const key = uniqueName();
    const tenants = await Promise.all(
      ["a", "b"].map((name) => admin.withKey({ principal: name, kind: "person", roles: ["admin"], tenant: uniqueName(name) })),
    );
    const runs = await Promise.all(
      tenants.map(async (tenant) => tenant.start(await tenant.publish({ steps: [{ id: "s", type: "set", values: 1 }] }, "same"), {}, key)),
    );
    expect(runs[0]!.id).not.toBe(runs[1]!.id);
  });

  test("runs of two tenants with equal large inputs each see their own", async () => {
    const tenants = await Promise.all(
      ["a", "b"].map((name) => admin.withKey({ principal: name, kind: "person", roles: ["admin"], tenant: uniqueName(name) })),
    );
    const input = "x".repeat(20_000);
    const ends = await Promise.all(
      tenants.map(async (tenant) => tenant.finish({ steps: [{ id: "s", type: "set", values: "${size(input)}" }] }, input)),
    );
    expect(ends.map(({ output }) => output)).toEqual([20_000, 20_000]);
  });
});

describe("problems", () => {
  const bad: [string, () => Promise<Answer>, number][] = [
    ["an unknown address", () => admin.get("/api/v2/nothing"), 404],
    ["an unknown run", () => admin.get("/api/v2/runs/r_x"), 404],
    ["a method that is not there", () => admin.request("PATCH", "/api/v2/runs"), 405],
    ["no key", () => open.get("/api/v2/runs"), 401],
    ["a body that is no JSON", () => admin.request("POST", "/api/v2/runs", { body: "{", type: "application/json" }), 400],
    ["a body of another type", () => admin.request("POST", "/api/v2/runs", { body: "x", type: "text/plain" }), 415],
    ["an unknown field", () => admin.post("/api/v2/runs", { workflow: "x", extra: 1 }), 422],
    ["an unknown parameter", () => admin.get("/api/v2/runs?colour=red"), 400],
    ["a page size out of range", () => admin.get("/api/v2/runs?limit=1000"), 400],
    ["a cursor that is none of ours", () => admin.get("/api/v2/runs?cursor=x"), 400],
    ["a body that is too large", () => admin.post("/api/v2/runs", { workflow: "x", input: "x".repeat(2_200_000) }), 413],
    [
      "an Idempotency-Key with control characters",
      () => admin.request("POST", "/api/v2/runs", { body: {}, headers: { "idempotency-key": "a\tb" } }),
      400,
    ],
  ];

  test.each(bad)("%s is answered with a problem", async (_, ask, status) => {
    const answer = await ask();
    expect([
      answer.status,
      answer.headers.get("content-type"),
      answer.body["status"],
      typeof answer.body["code"],
      answer.body["requestId"],
    ]).toEqual([status, expect.stringContaining("application/problem+json"), status, "string", answer.headers.get("x-request-id")]);
  });
});

describe("Idempotency-Key of other POSTs", () => {
  test("the same request is done once and answered twice", async () => {
    const [name, key] = [uniqueName(), uniqueName()];
    const publish = () =>
      admin.request("POST", "/api/v2/workflows", { body: `name: ${name}\nversion: 1.0.0\nsteps: [{ id: a, type: set, values: 1 }]`, key });
    expect([(await publish()).status, (await publish()).status]).toEqual([201, 201]);
  });

  test("another request with the key answers 409", async () => {
    const key = uniqueName();
    await admin.post("/api/v2/keys", { principal: "one", kind: "service", roles: [] }, key);
    const answer = await admin.post("/api/v2/keys", { principal: "two", kind: "service", roles: [] }, key);
    expect(answer).toMatchObject({ status: 409, body: { code: "idempotency_mismatch" } });
  });
});

describe("the OpenAPI document", () => {
  test("is of version 3.1", async () => {
    expect((await document()).openapi).toMatch(/^3\.1\./);
  });

  test("every operation has an id of its own", async () => {
    const ids = (await operations()).map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("every schema can be used", async () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const { components } = await document();
    ajv.addSchema({ $id: "doc", components });
    for (const name of Object.keys(components.schemas)) expect(ajv.getSchema(`doc#/components/schemas/${name}`)).toBeInstanceOf(Function);
  });

  test("every operation that needs a key answers 401 without one", async () => {
    const answers = await Promise.all(
      (await operations())
        .filter(({ path }) => path.startsWith("/api/v2/") && !path.endsWith(".json"))
        .map(async ({ method, path }) => {
          const { status } = await open.request(
            method.toUpperCase(),
            path.replaceAll(/\{\w+\}/g, "x"),
            method === "post" ? { body: {} } : {},
          );
          return `${method} ${path} ${status}`;
        }),
    );
    expect(answers.filter((answer) => !answer.endsWith(" 401"))).toEqual([]);
  });

  test("a run fits its schema, whatever its end", async () => {
    const broken = { id: "t", type: "tool", tool: "test.breaks", arguments: {}, retry: { maxAttempts: 1 } };
    const runs = await Promise.all([
      admin.finish({ steps: [{ id: "a", type: "set", values: 1 }] }),
      admin.finish({ steps: [broken] }),
      admin.finish({ steps: [{ ...broken, onError: "continue" }] }),
    ]);
    expect(await mismatches("Run", runs)).toEqual([]);
  });

  test("steps, events and pages fit their schemas", async () => {
    const run = await admin.begin({
      steps: [
        { id: "a", type: "tool", tool: "test.double", arguments: { n: 1 } },
        { id: "b", type: "switch", cases: [{ when: "${true}", steps: [{ id: "c", type: "set", values: 1 }] }] },
      ],
    });
    await run.end();
    const [steps, events] = await Promise.all([admin.get(`${run.path}/steps`), admin.get(`${run.path}/events`)]);
    expect([...(await mismatches("StepPage", [steps.body])), ...(await mismatches("EventPage", [events.body]))]).toEqual([]);
  });
});

describe("health and documentation", () => {
  test("/livez answers", async () => expect(await open.get("/livez")).toMatchObject({ status: 200, body: { status: "ok" } }));

  test("/readyz tells that Postgres and Temporal answer", async () => {
    // Within a second, which a busy machine may take once.
    const isReady = ({ status }: Answer): boolean => status === 200;
    expect(await eventually(() => open.get("/readyz"), isReady)).toMatchObject({ status: 200, body: { postgres: "ok", temporal: "ok" } });
  });

  test("/docs is a page whose parts are all there", async () => {
    const html = await (await fetch(`${facts.apiUrl}/docs`)).text();
    const parts = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    const answers = await Promise.all(parts.map(async (part) => `${part} ${(await fetch(facts.apiUrl + part)).status}`));
    expect(answers).toEqual(parts.map((part) => `${part} 200`));
  });

  test("the JSON Schema of definitions takes a definition", async () => {
    const { body } = await open.get<object>("/api/v2/workflow.schema.json");
    const isValid = new Ajv2020({ strict: false, validateFormats: false }).compile(body);
    expect(isValid({ name: "a", version: "1.0.0", steps: [{ id: "a", type: "set", values: 1 }] })).toBe(true);
  });
});

async function mismatches(schema: string, values: unknown[]): Promise<unknown[]> {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const { components } = await document();
  ajv.addSchema({ $id: "doc", components });
  const isValid = ajv.getSchema(`doc#/components/schemas/${schema}`)!;
  return values.flatMap((value) => (isValid(value) === true ? [] : (isValid.errors ?? [])));
}

const filled = (path: string, ids: Record<"workflow" | "run" | "approval" | "key" | "memory" | "message", string>): string =>
  path
    .replace("/memories/{id}", `/memories/${ids.memory}`)
    .replace("/memories/search", "/memories/search?text=x")
    .replace("{thread}", "t")
    .replace("{name}", ids.workflow)
    .replace("{scope}", `agent:${ids.workflow}`)
    .replace("{version}", "1.0.0")
    .replace("{path}", "ask")
    .replace("/messages/{id}", `/messages/${ids.message}`)
    .replace("{id}", path.includes("/approvals/") ? ids.approval : path.includes("/keys/") ? ids.key : ids.run);
