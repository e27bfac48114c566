import { expect, test } from "@jest/globals";
import { toolRoutes } from "../../api/tools.ts";
import type { Database } from "../../prisma/client.ts";
import { everyTenant, newestTools, publishTools, touchTools } from "../../prisma/tools.ts";
import { ownPostgres } from "./own-postgres.ts";

let database: Database;
ownPostgres((opened) => (database = opened));

const add = (description: string, more: object = {}) => ({
  name: "math.add",
  version: "1.0.0",
  description,
  input: { type: "object" },
  effect: "read",
  idempotent: false,
  short: false,
  ...more,
});

interface Versions {
  latest: string;
  versions: { version: string; description: string; effect: string; hash: string }[];
}

async function answerOf<Body>(id: string): Promise<Body> {
  const route = toolRoutes.find((each) => each.id === id)!;
  const call = { deps: { database }, caller: { tenant: "default" }, params: { name: "math.add" }, query: { limit: 50 } };
  return ((await route.handle(call as never)) as unknown as { body: Body }).body;
}

test("a version whose content was changed keeps each of its contents, and the one seen last counts", async () => {
  expect(await publishTools(database, everyTenant, [add("Adds.")])).toEqual([]);
  expect(await publishTools(database, everyTenant, [add("Adds two numbers.")])).toEqual(["math.add"]);
  expect(await publishTools(database, everyTenant, [add("Adds two numbers.", { effect: "write" })])).toEqual(["math.add"]);
  expect(await publishTools(database, everyTenant, [add("Adds.", { version: "0.9.0" })])).toEqual([]);
  const before = await answerOf<Versions>("listToolVersions");
  expect(before.versions.map(({ version, description, effect }) => [version, description, effect])).toEqual([
    ["1.0.0", "Adds two numbers.", "write"],
    ["1.0.0", "Adds two numbers.", "read"],
    ["1.0.0", "Adds.", "read"],
    ["0.9.0", "Adds.", "read"],
  ]);
  expect(before.latest).toBe("1.0.0");

  // Workers go back to what they had.
  expect(await publishTools(database, everyTenant, [add("Adds.")])).toEqual([]);
  await touchTools(database, everyTenant, [add("Adds.")]);
  expect(await answerOf("getTool")).toMatchObject({ version: "1.0.0", description: "Adds.", effect: "read" });
  const listed = await newestTools(database, "default", { after: "", take: 10 });
  expect(listed.map(({ name, description }) => [name, description])).toEqual([["math.add", "Adds."]]);
  const after = await answerOf<Versions>("listToolVersions");
  expect(new Set(after.versions.map(({ hash }) => hash))).toEqual(new Set(before.versions.map(({ hash }) => hash)));
});
