import { setTimeout as later } from "node:timers/promises";
import { afterAll, describe, expect, test } from "@jest/globals";
import { limits } from "../../contracts/limits.ts";
import { loadAgent, stateOf } from "../../prisma/agents.ts";
import { openDatabase } from "../../prisma/client.ts";
import { admin, facts, insist, uniqueName, type Answer, type Client, type Page } from "./client.ts";

const path = (name: string, rest = ""): string => `/api/v2/agents/${name}${rest}`;
const minimal = { version: "1.0.0", instructions: "Answer in one word." };

async function publish(more: object = {}, by: Client = admin): Promise<string> {
  const name = uniqueName("agent");
  const answer = await by.post("/api/v2/agents", { ...minimal, name, ...more });
  if (answer.status !== 201) throw new Error(`Not published: ${JSON.stringify(answer.body)}`);
  return name;
}

const change = (name: string, body: object, by: Client = admin): Promise<Answer> =>
  by.post(path(name, "/state"), { why: "a test", ...body });

const keyOf = (...roles: string[]): Promise<Client> => admin.withKey({ principal: "p", kind: "person", roles });
const tenantOfItsOwn = (): Promise<Client> =>
  admin.withKey({ principal: "ada", kind: "person", roles: ["admin"], tenant: uniqueName("t") });

interface State {
  state: string;
  revision: number;
  why: string | null;
  changedBy: string;
}

const statesOf = async (name: string): Promise<State[]> => (await admin.get<Page<State>>(path(name, "/states"))).body.data;

describe("publishing an agent", () => {
  test("a new one answers 201 and is active", async () => {
    const name = uniqueName("agent");
    const answer = await admin.post("/api/v2/agents", { ...minimal, name });
    expect(answer).toMatchObject({ status: 201, body: { name, version: "1.0.0", state: "active", publishedBy: "admin" } });
    expect((await admin.get(answer.headers.get("location")!)).body).toMatchObject({
      hash: answer.body["hash"],
      definition: { ...minimal, name },
    });
    expect(await statesOf(name)).toMatchObject([{ state: "active", revision: 1, why: null, changedBy: "admin" }]);
  });

  test("the same again answers 200, whatever the order of its fields; other content 409", async () => {
    const name = await publish({ role: "clerk" });
    expect((await admin.post("/api/v2/agents", { role: "clerk", name, ...minimal })).status).toBe(200);
    expect(await admin.post("/api/v2/agents", { ...minimal, name })).toMatchObject({ status: 409, body: { code: "version_exists" } });
  });

  test("20 at once of one version make it once, of one name leave one highest", async () => {
    const name = uniqueName("agent");
    const publishOne = (version: string): Promise<Answer> => insist(() => admin.post("/api/v2/agents", { ...minimal, name, version }));
    const same = await Promise.all(Array.from({ length: 20 }, () => publishOne("1.0.0")));
    expect(same.filter(({ status }) => status !== 200)).toMatchObject([{ status: 201 }]);
    const versions = Array.from({ length: 10 }, (_, index) => `1.${index + 1}.0`);
    await Promise.all(versions.map(publishOne));
    const { body } = await admin.get(path(name));
    expect(body).toMatchObject({ version: "1.10.0", revision: 1, versions: [...versions.toReversed(), "1.0.0"], page: { hasMore: false } });
    const first = await admin.get<{ page: { next: string } }>(`${path(name)}?limit=10`);
    const second = await admin.get(`${path(name)}?limit=10&cursor=${first.body.page.next}`);
    expect(second.body).toMatchObject({ version: "1.10.0", versions: ["1.0.0"], page: { next: null } });
    expect((await admin.get<Page<object>>(`/api/v2/agents?text=${name}`)).body.data).toMatchObject([{ name, version: "1.10.0" }]);
  });

  test("a lower version later leaves the highest where it is", async () => {
    const name = await publish({ version: "2.0.0" });
    for (const version of ["1.9.0", "2.0.0-rc.1"]) await admin.post("/api/v2/agents", { ...minimal, name, version });
    expect((await admin.get(path(name))).body).toMatchObject({ version: "2.0.0", versions: ["2.0.0", "2.0.0-rc.1", "1.9.0"] });
  });

  test("a bad one is refused with every problem and its place", async () => {
    const limitsAndApproval = {
      limits: { timeout: "soon" },
      tools: ["a", { tool: "b", timeout: 0 }],
      approval: { tools: ["a"], expiresAfter: 0, remindAfter: "x" },
    };
    const late = await admin.post("/api/v2/agents", { ...minimal, name: uniqueName(), ...limitsAndApproval });
    expect(late).toMatchObject({
      status: 422,
      body: {
        code: "schema",
        errors: ["/limits/timeout", "/approval/expiresAfter", "/approval/remindAfter", "/tools/1/timeout"].map((pointer) => ({ pointer })),
      },
    });
    const shape = await admin.post("/api/v2/agents", { ...minimal, name: "a b", owner: 1 });
    expect(shape).toMatchObject({ status: 422, body: { errors: [{ pointer: "/name" }, { pointer: "/owner" }] } });
  });

  test("is for those who may publish", async () => {
    const answers = await Promise.all(
      ["operator", "viewer"].map(async (role) => (await keyOf(role)).post("/api/v2/agents", { ...minimal, name: uniqueName() })),
    );
    expect(answers).toMatchObject([{ status: 403 }, { status: 403 }]);
  });
});

describe("the list of agents", () => {
  test("has the highest version of each, page by page, and what filters let pass", async () => {
    const tenant = await tenantOfItsOwn();
    const able = (level: number) => ({ capabilities: [{ name: "invoices.read", level }] });
    const add = (name: string, more: object) => tenant.post("/api/v2/agents", { ...minimal, name, ...more });
    await add("a", { ...able(5), tags: ["finance"] });
    await add("b", { ...able(2), role: "100%_Sure clerk" });
    await add("c", { title: "Books", description: "Knows LEDGERS." });
    await add("a", { version: "1.1.0", ...able(3), tags: ["finance", "eu"] });
    await change("c", { state: "stopped" }, tenant);
    const named = async (query: string): Promise<string[]> =>
      (await tenant.get<Page<{ name: string; version: string }>>(`/api/v2/agents?${query}`)).body.data.map(
        ({ name, version }) => `${name} ${version}`,
      );
    expect(await named("")).toEqual(["a 1.1.0", "b 1.0.0", "c 1.0.0"]);
    expect(await named("capability=invoices.read")).toEqual(["a 1.1.0", "b 1.0.0"]);
    expect(await named("capability=invoices.read&minLevel=3")).toEqual(["a 1.1.0"]);
    // What it could in an older version does not count.
    expect(await named("capability=invoices.read&minLevel=5")).toEqual([]);
    expect(await named("state=stopped")).toEqual(["c 1.0.0"]);
    expect(await named("tag=eu")).toEqual(["a 1.1.0"]);
    expect(await named("text=ledgers")).toEqual(["c 1.0.0"]);
    expect(await named("text=%25_s")).toEqual(["b 1.0.0"]);
    const first = (await tenant.get<Page<{ name: string }>>("/api/v2/agents?limit=2")).body;
    expect(first.page.hasMore).toBe(true);
    expect(await named(`limit=2&cursor=${first.page.next}`)).toEqual(["c 1.0.0"]);
    expect((await tenant.get("/api/v2/agents?minLevel=3")).status).toBe(400);
  });
});

describe("the state of an agent", () => {
  test("changes by legal ways only; each change is kept and in the audit", async () => {
    const name = await publish();
    for (const state of ["paused", "active", "stopped"]) expect((await change(name, { state })).status).toBe(200);
    const refused = [await change(name, { state: "paused" }), await change(name, { state: "active" })];
    expect(refused.map(({ status, body }) => [status, body["code"], body["state"], body["revision"]])).toEqual([
      [409, "agent_state", "stopped", 4],
      [409, "agent_state", "stopped", 4],
    ]);
    expect(await change(name, { state: "active", restart: true, why: "mended" })).toMatchObject({
      status: 200,
      body: { name, state: "active", revision: 5, why: "mended", changedBy: "admin" },
    });
    expect((await change(name, { state: "retired" })).status).toBe(200);
    expect(await change(name, { state: "active", restart: true })).toMatchObject({ status: 409, body: { code: "agent_state" } });
    expect((await statesOf(name)).map(({ state, revision }) => `${revision} ${state}`)).toEqual([
      "6 retired",
      "5 active",
      "4 stopped",
      "3 active",
      "2 paused",
      "1 active",
    ]);
    const audit = await admin.get<Page<{ action: string; data: object }>>(`/api/v2/audit?object=${name}`);
    expect(audit.body.data.map(({ action }) => action).toReversed()).toEqual(
      ["published", "paused", "resumed", "stopped", "restarted", "retired"].map((verb) => `agent.${verb}`),
    );
    expect(audit.body.data[1]).toMatchObject({ data: { from: "stopped", why: "mended", revision: 5 } });
  });

  test("that it is in already answers 200 and changes nothing", async () => {
    const name = await publish();
    await change(name, { state: "stopped", why: "first" });
    expect(await change(name, { state: "stopped", why: "second" })).toMatchObject({ status: 200, body: { revision: 2, why: "first" } });
    expect(await statesOf(name)).toHaveLength(2);
  });

  test("history goes page by page", async () => {
    const name = await publish();
    for (const state of ["paused", "active"]) await change(name, { state });
    const first = (await admin.get<Page<State>>(path(name, "/states?limit=2"))).body;
    const second = (await admin.get<Page<State>>(path(name, `/states?limit=2&cursor=${first.page.next}`))).body;
    expect([...first.data, ...second.data].map(({ revision }) => revision)).toEqual([3, 2, 1]);
  });

  test("of 12 changes that saw the same revision exactly one wins; the others learn what there is", async () => {
    for (const expectedRevision of [1, 2, 3]) {
      const name = await publish();
      for (let revision = 1; revision < expectedRevision; revision += 1)
        await change(name, { state: revision % 2 === 1 ? "paused" : "active" });
      const wanted = ["stopped", "retired", expectedRevision % 2 === 1 ? "paused" : "active"];
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, index) => change(name, { state: wanted[index % 3], expectedRevision })),
      );
      const [winner, ...more] = answers.filter(({ status }) => status === 200);
      expect(more).toEqual([]);
      for (const { status, body } of answers.filter((answer) => answer !== winner))
        expect([status, body["code"], body["state"], body["revision"]]).toEqual([
          409,
          "revision_stale",
          winner!.body["state"],
          expectedRevision + 1,
        ]);
      expect((await statesOf(name))[0]).toMatchObject({ state: winner!.body["state"], revision: expectedRevision + 1 });
    }
  });

  test("stays through new versions; a retired agent gets none", async () => {
    const name = await publish();
    await change(name, { state: "stopped" });
    expect((await admin.post("/api/v2/agents", { ...minimal, name, version: "2.0.0" })).body).toMatchObject({ state: "stopped" });
    await change(name, { state: "retired" });
    expect(await admin.post("/api/v2/agents", { ...minimal, name, version: "3.0.0" })).toMatchObject({
      status: 409,
      body: { code: "agent_state" },
    });
    expect((await admin.post("/api/v2/agents", { ...minimal, name, version: "2.0.0" })).status).toBe(200);
  });

  test("is changed by those who may pause, and with a reason", async () => {
    const name = await publish();
    expect((await change(name, { state: "stopped" }, await keyOf("developer"))).status).toBe(403);
    expect((await admin.post(path(name, "/state"), { state: "stopped" })).status).toBe(422);
    expect((await change(name, { state: "stopped" }, await keyOf("operator"))).body).toMatchObject({ state: "stopped", changedBy: "p" });
  });
});

test("another tenant's agent is as one that does not exist", async () => {
  const stranger = await tenantOfItsOwn();
  const name = await publish({}, admin);
  const unknown = uniqueName("agent");
  const ask = async (of: string): Promise<string[]> => {
    const answers = await Promise.all([
      stranger.get(path(of)),
      stranger.get(path(of, "/versions/1.0.0")),
      stranger.get(path(of, "/states")),
      change(of, { state: "stopped" }, stranger),
    ]);
    return answers.map(({ status, body }) => `${status} ${JSON.stringify({ ...body, requestId: "" }).replaceAll(of, "NAME")}`);
  };
  expect(await ask(name)).toEqual(await ask(unknown));
  expect((await ask(name)).every((text) => text.startsWith("404"))).toBe(true);
  expect((await admin.get(path(name))).body).toMatchObject({ state: "active" });
  expect((await stranger.get<Page<object>>("/api/v2/agents")).body.data).toEqual([]);
});

describe("a worker", () => {
  const database = openDatabase(facts.databaseUrl, 2);
  afterAll(() => database.$disconnect());

  test("loads the highest release, or the highest in a range, with its state", async () => {
    const name = await publish();
    for (const version of ["1.2.0", "1.10.0", "2.0.0", "2.1.0-rc.1"]) await admin.post("/api/v2/agents", { ...minimal, name, version });
    const versionOf = async (range?: string): Promise<string> => (await loadAgent(database, "default", name, range)).version;
    expect(await Promise.all([undefined, "^1", "~1.2.0", "1.0.0", "*"].map(versionOf))).toEqual([
      "2.0.0",
      "1.10.0",
      "1.2.0",
      "1.0.0",
      "2.0.0",
    ]);
    await change(name, { state: "paused" });
    expect(await loadAgent(database, "default", name, "1.2.0")).toMatchObject({
      state: "paused",
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      definition: { ...minimal, name, version: "1.2.0" },
    });
  });

  test("hears what there is when it asks for what is not", async () => {
    const name = await publish();
    const detail = (asked: Promise<unknown>): Promise<string> => asked.then(String, (error: Error) => error.message);
    expect(await detail(loadAgent(database, "default", name, "^3"))).toBe(`No version ^3 of agent ${name}. There is: 1.0.0.`);
    expect(await detail(loadAgent(database, "default", `${name}x`))).toBe(`No agent ${name}x. Did you mean ${name}?`);
    expect(await detail(stateOf(database, "nobody", name))).toBe(`No agent ${name}.`);
  });

  test("hears of a stop within 2 s, and asks no more often", async () => {
    const name = await publish();
    expect(await stateOf(database, "default", name)).toBe("active");
    const asked = Date.now();
    await change(name, { state: "stopped" });
    if (Date.now() - asked < limits.agentStateKnownMs / 2) expect(await stateOf(database, "default", name)).toBe("active");
    await later(limits.agentStateKnownMs - (Date.now() - asked) + 50);
    expect(await stateOf(database, "default", name)).toBe("stopped");
  });
});
