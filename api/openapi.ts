import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject, type ZodOpenApiResponsesObject } from "zod-openapi";
import { z } from "zod";
import { problemSchema } from "../contracts/api.schema.ts";
import { faults, type FaultCode } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { definitionMediaTypes } from "./body.ts";
import type { Route, RouteAnswer } from "./route.ts";

/** The OpenAPI 3.1 document of a route table. */
export function openApiDocument(routes: readonly Route[]): JsonObject {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method]: operationOf(route) };
  const document = createDocument({
    openapi: "3.1.0",
    info: {
      title: "Tenuto",
      version: "2",
      description:
        "Durable workflows for AI agents. Errors are RFC 9457 problems; lists are paged by `cursor`; every POST takes an `Idempotency-Key`.",
    },
    servers: [{ url: "/" }],
    security: [{ key: [] }],
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
    paths,
  });
  // Made of plain data only.
  return document as unknown as JsonObject;
}

/** Every expected error of a route: those that its kind can always answer, and its own. */
export function faultsOf(route: Route): FaultCode[] {
  const always: FaultCode[] = ["bad_request", "defect", "unavailable"];
  const withKey: FaultCode[] = route.scope === "open" ? [] : ["unauthenticated", "forbidden"];
  const withBody: FaultCode[] = ["post", "put", "patch"].includes(route.method) ? ["too_large", "unsupported_media_type"] : [];
  const withJson: FaultCode[] = route.body ? ["schema"] : [];
  const withTable: FaultCode[] = route.idempotency === "table" ? ["conflict", "idempotency_mismatch"] : [];
  return [...new Set([...always, ...withKey, ...withBody, ...withJson, ...withTable, ...(route.faults ?? [])])];
}

function operationOf(route: Route): ZodOpenApiOperationObject {
  const request = requestBodyOf(route);
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.description !== undefined && { description: route.description }),
    tags: [route.tag],
    requestParams: {
      ...(route.params && { path: route.params as z.ZodObject }),
      ...(route.query && { query: route.query as z.ZodObject }),
      ...(route.idempotency && { header: idempotencyHeader }),
    },
    ...(request && { requestBody: request }),
    ...(route.scope === "open" && { security: [] }),
    responses: { ...successesOf(route), ...problemsOf(route) },
  };
}

const idempotencyHeader = z.object({
  "Idempotency-Key": z
    .string()
    .min(1)
    .max(limits.idempotencyKeyBytesMax)
    .regex(/^[\x20-\x7e]+$/)
    .optional()
    .meta({ description: "The same key and request is done once and answered the same." }),
});

function requestBodyOf(route: Route): ZodOpenApiOperationObject["requestBody"] {
  if (route.text) {
    const description = "A definition; its JSON Schema is at /api/v2/workflow.schema.json.";
    const schemas = definitionMediaTypes.map(
      (type) => [type, { schema: { type: type === "application/json" ? "object" : "string", description } }] as const,
    );
    return { required: true, content: Object.fromEntries(schemas) as never };
  }
  return route.body ? { required: !route.bodyOptional, content: { "application/json": { schema: route.body } } } : undefined;
}

const successesOf = (route: Route): ZodOpenApiResponsesObject =>
  Object.fromEntries(Object.entries(route.answers).map(([status, answer]) => [status, successOf(answer)]));

function successOf({ description, schema, mediaType, headers = [] }: RouteAnswer): ZodOpenApiResponsesObject[`${1 | 2}${string}`] {
  const content = {
    ...(schema && { "application/json": { schema } }),
    ...(mediaType && { [mediaType]: { schema: { type: "string" as const } } }),
  };
  const given = Object.fromEntries(headers.map((name) => [name, headerOf(name)]));
  return {
    description,
    headers: { "X-Request-Id": headerOf("X-Request-Id"), ...given },
    ...(Object.keys(content).length > 0 && { content }),
  } as never;
}

function problemsOf(route: Route): ZodOpenApiResponsesObject {
  const byStatus = new Map<number, FaultCode[]>();
  for (const code of faultsOf(route)) byStatus.set(faults[code].status, [...(byStatus.get(faults[code].status) ?? []), code]);
  return Object.fromEntries([...byStatus].map(([status, codes]) => [String(status), refusalOf(codes)]));
}

const refusalOf = (codes: FaultCode[]): ZodOpenApiResponsesObject[`4${string}`] =>
  ({
    description: codes.map((code) => `\`${code}\`: ${faults[code].title}.`).join(" "),
    headers: {
      "X-Request-Id": headerOf("X-Request-Id"),
      ...(codes.some((code) => code === "conflict" || faults[code].retryable) && { "Retry-After": headerOf("Retry-After") }),
    },
    content: { "application/problem+json": { schema: problemSchema } },
  }) as never;

const headerOf = (name: string) => ({ description: headerTexts[name] ?? name, schema: { type: "string" as const } });

const headerTexts: Record<string, string> = {
  "X-Request-Id": "Names this request in our logs.",
  Location: "Address of what was made.",
  "Retry-After": "Seconds after which to try again.",
};
