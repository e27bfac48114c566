import { expect, test } from "@jest/globals";
import { faults } from "../contracts/faults.ts";
import { isObject, type JsonObject } from "../contracts/json.ts";
import { faultsOf, openApiDocument } from "./openapi.ts";
import { routes } from "./routes.ts";

const document = openApiDocument(routes);
const paths = document["paths"] as Record<string, Record<string, JsonObject>>;
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

test("the document has exactly the routes of the table", () => {
  const documented = operations.map(({ path, method }) => `${method} ${path}`).toSorted();
  expect(documented).toEqual(routes.map((route) => `${route.method} ${route.path}`).toSorted());
});

test("no two operations share an id", () => {
  const ids = routes.map((route) => route.id);
  expect(new Set(ids).size).toBe(ids.length);
});

test.each(routes.map((route) => [route.id, route] as const))("%s documents every status it can answer", (_id, route) => {
  const responses = Object.keys(paths[route.path]![route.method]!["responses"] as JsonObject).toSorted();
  const expected = [...Object.keys(route.answers), ...faultsOf(route).map((code) => String(faults[code].status))];
  expect(responses).toEqual([...new Set(expected)].toSorted());
});

test.each(routes.map((route) => [route.id, route] as const))("%s documents its path parameters", (_id, route) => {
  const parameters = (paths[route.path]![route.method]!["parameters"] ?? []) as JsonObject[];
  const named = parameters.filter((parameter) => parameter["in"] === "path").map((parameter) => parameter["name"]);
  expect(named).toEqual([...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
});

test("every reference leads to a schema of the document", () => {
  const schemas = (document["components"] as { schemas: JsonObject }).schemas;
  for (const reference of referencesIn(document)) expect(Object.keys(schemas)).toContain(reference.replace("#/components/schemas/", ""));
});

test("only health and documentation are open without a key", () => {
  const open = routes.filter((route) => route.scope === "open").map((route) => route.path);
  expect(open).toEqual(["/api/v2/workflow.schema.json", "/livez", "/readyz", "/api/v2/openapi.json", "/docs", "/docs/{asset}"]);
});

test("every POST that changes something takes an Idempotency-Key", () => {
  const without = routes.filter((route) => route.method === "post" && !route.idempotency).map((route) => route.id);
  expect(without).toEqual(["validateWorkflow"]);
});

function referencesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesIn);
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, member]) => (key === "$ref" && typeof member === "string" ? [member] : referencesIn(member)));
}
