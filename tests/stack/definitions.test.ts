import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { admin, facts, insist, uniqueName, type Client, type Page } from "./client.ts";

const folder = new URL("../definitions/", import.meta.url);
const one = { steps: [{ id: "a", type: "set", values: 1 }] };

describe("publishing", () => {
  test("a new version answers 201 with its hash and place", async () => {
    const name = uniqueName();
    const answer = await admin.post("/api/v2/workflows", { name, version: "1.0.0", ...one });
    expect(answer).toMatchObject({ status: 201, body: { name, version: "1.0.0", hash: expect.stringMatching(/^[0-9a-f]{64}$/) } });
  });

  test("the place leads to what was published", async () => {
    const { headers, body } = await admin.post("/api/v2/workflows", { name: uniqueName(), version: "1.0.0", ...one });
    expect(await admin.get(headers.get("location")!)).toMatchObject({ status: 200, body: { hash: body["hash"], definition: one } });
  });

  test("the same definition again answers 200", async () => {
    const definition = { name: uniqueName(), version: "1.0.0", ...one };
    await admin.post("/api/v2/workflows", definition);
    expect(await admin.post("/api/v2/workflows", definition)).toMatchObject({ status: 200 });
  });

  test("the same definition as YAML has the same hash", async () => {
    const name = uniqueName();
    const { body } = await admin.post("/api/v2/workflows", { name, version: "1.0.0", ...one });
    const yaml = `# a comment\nversion: 1.0.0\nname: ${name}\nsteps: [{ values: 1, type: set, id: a }]\n`;
    expect((await admin.post("/api/v2/workflows", yaml)).body).toMatchObject({ hash: body["hash"] });
  });

  test("other content under a published version answers 409", async () => {
    const name = await admin.publish(one);
    const answer = await admin.post("/api/v2/workflows", { name, version: "1.0.0", steps: [{ id: "a", type: "set", values: 2 }] });
    expect(answer).toMatchObject({ status: 409, body: { code: "version_exists" } });
  });

  test("20 at once of one definition make it once", async () => {
    const definition = { name: uniqueName(), version: "1.0.0", ...one };
    const answers = await Promise.all(Array.from({ length: 20 }, () => insist(() => admin.post("/api/v2/workflows", definition))));
    expect(answers.filter(({ status }) => status !== 200)).toMatchObject([{ status: 201 }]);
  });

  test("a content type that is no definition's answers 415", async () => {
    expect(await admin.request("POST", "/api/v2/workflows", { body: "name: x", type: "text/plain" })).toMatchObject({ status: 415 });
  });
});

describe("validating", () => {
  test("a good definition is valid", async () => {
    expect((await admin.post("/api/v2/workflows/validate", { name: "x", version: "1.0.0", ...one })).body).toEqual({
      valid: true,
      problems: [],
    });
  });

  test("a bad one is answered with its problems", async () => {
    const answer = await admin.post("/api/v2/workflows/validate", "name: x\nversion: 1.0.0\nsteps: []\n");
    expect(answer).toMatchObject({ status: 200, body: { valid: false, problems: [{ path: "steps", line: 3, column: 8 }] } });
  });

  test("nothing is stored", async () => {
    const name = uniqueName();
    await admin.post("/api/v2/workflows/validate", { name, version: "1.0.0", ...one });
    expect(await admin.get(`/api/v2/workflows/${name}`)).toMatchObject({ status: 404 });
  });
});

const cursorAt = (version: string): string => Buffer.from(JSON.stringify([0, version])).toString("base64url");

async function versionsByPage(path: string): Promise<string[][]> {
  const pages: string[][] = [];
  for (let next: string | null = ""; next !== null;) {
    const from: string = next === "" ? "" : `&cursor=${next}`;
    const { body } = await admin.get<{ versions: { version: string }[]; page: { next: string | null } }>(`${path}?limit=3${from}`);
    pages.push(body.versions.map(({ version }) => version));
    next = body.page.next;
  }
  return pages;
}

describe("reading definitions", () => {
  test("versions stand highest first, and the highest release counts", async () => {
    const name = await admin.publish(one);
    for (const version of ["1.2.0", "1.10.0", "1.11.0-rc.1"]) await admin.post("/api/v2/workflows", { name, version, ...one });
    const { body } = await admin.get<{ latest: string; versions: { version: string }[] }>(`/api/v2/workflows/${name}`);
    expect([body.latest, ...body.versions.map(({ version }) => version)]).toEqual(["1.10.0", "1.11.0-rc.1", "1.10.0", "1.2.0", "1.0.0"]);
    expect(await versionsByPage(`/api/v2/workflows/${name}`)).toEqual([["1.11.0-rc.1", "1.10.0", "1.2.0"], ["1.0.0"]]);
    expect(await admin.get(`/api/v2/workflows/${name}?cursor=${cursorAt("3.0.0")}`)).toMatchObject({ status: 400 });
    const run = await admin.post<{ id: string }>("/api/v2/runs", { workflow: name });
    expect(await admin.run(run.body.id).end()).toMatchObject({ version: "1.10.0" });
  });

  test("the list has the newest version of each", async () => {
    const tenant = await freshTenant();
    const [a, b] = [await tenant.publish(one, "aa"), await tenant.publish(one, "bb")];
    await tenant.post("/api/v2/workflows", { name: a, version: "3.0.0", ...one });
    const { body } = await tenant.get<Page<{ name: string; version: string }>>("/api/v2/workflows");
    expect(body.data).toMatchObject([
      { name: a, version: "3.0.0" },
      { name: b, version: "1.0.0" },
    ]);
  });

  test("an unknown version answers 404", async () => {
    expect(await admin.get(`/api/v2/workflows/${await admin.publish(one)}/versions/9.9.9`)).toMatchObject({ status: 404 });
  });
});

describe("bad definitions", () => {
  const files = readdirSync(new URL("bad", folder)).filter((file) => !file.endsWith(".expect.json"));

  test.each(files)("%s is refused with all its problems, each with line and column", async (file) => {
    const answer = await post(admin, file);
    const errors = answer.body.errors.map(({ code, line, column }) => `${code} ${line}:${column}`);
    expect({ status: answer.status, errors }).toEqual({ status: 422, errors: expectedOf(file) });
  });

  test("nothing of them is stored", async () => {
    const tenant = await freshTenant();
    for (const file of files) await post(tenant, file);
    expect((await tenant.get<Page<unknown>>("/api/v2/workflows")).body.data).toEqual([]);
  });

  test("the text is as it was sent: bytes that are no UTF-8 answer 400", async () => {
    const body = new Uint8Array([0x6e, 0xff, 0xfe]);
    const response = await fetch(`${facts.apiUrl}/api/v2/workflows`, {
      method: "POST",
      headers: { ...admin.authorization, "content-type": "application/yaml" },
      body,
    });
    expect(response.status).toBe(400);
  });

  test("a body above the limit answers 413", async () => {
    const answer = await admin.post("/api/v2/workflows", `name: ${"x".repeat(2_200_000)}`);
    expect(answer).toMatchObject({ status: 413, body: { code: "too_large" } });
  });
});

describe("good definitions", () => {
  const files = readdirSync(new URL("good", folder));

  test.each(files)("%s is valid", async (file) => {
    const answer = await admin.request("POST", "/api/v2/workflows/validate", { body: textOf("good", file), type: typeOf(file) });
    expect(answer.body).toEqual({ valid: true, problems: [] });
  });
});

const textOf = (kind: string, file: string): string => readFileSync(new URL(`${kind}/${file}`, folder), "utf8");
const typeOf = (file: string): string => (file.endsWith(".json") ? "application/json" : "application/yaml");

/** `code line:column`, from the first comment of a YAML file or the file beside a JSON one. */
const expectedOf = (file: string): string[] =>
  file.endsWith(".json")
    ? (JSON.parse(textOf("bad", file.replace(".json", ".expect.json"))) as string[])
    : textOf("bad", file).split("\n")[0]!.replace("# expect: ", "").split(", ");

const post = (client: Client, file: string) =>
  client.request<{ errors: { code: string; line: number; column: number }[] }>("POST", "/api/v2/workflows", {
    body: textOf("bad", file),
    type: typeOf(file),
  });

const freshTenant = (): Promise<Client> => admin.withKey({ principal: "dev", kind: "person", roles: ["admin"], tenant: uniqueName() });
