import { z } from "zod";
import type { HttpFields } from "../contracts/activities.ts";
import { isIdempotentMethod } from "../contracts/http-methods.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Http } from "./http.ts";
import { defineTool, type Tool } from "./tool-registry.ts";
import type { WorkContext } from "./work.ts";

/** `http` as tools: whoever calls them sees every answer that is no trouble, so that a model can mend what it asked for. */
export const createHttpTools = (http: Http): Tool[] => [
  defineTool({
    name: "http.get",
    description: "Read from an HTTP address. An answer such as 404 is a result, not an error.",
    input: z.strictObject(target),
    output: answer,
    effect: "read",
    run: (args, context) => ask(http, { method: "GET", ...args }, context),
  }),
  defineTool({
    name: "http.request",
    description: "Call an HTTP address; sends an Idempotency-Key. An answer such as 404 is a result, not an error.",
    input: z.strictObject({
      ...target,
      method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).default("POST"),
      body: z.unknown().optional().describe("Sent as JSON; text is sent as it is"),
      idempotent: z.boolean().optional().describe("For POST and PATCH: the server is known to do it once for each Idempotency-Key"),
    }),
    output: answer,
    effect: "write",
    idempotent: ({ method, idempotent }) => idempotent ?? isIdempotentMethod(method),
    run: (args, context) => ask(http, args, context),
  }),
];

const target = {
  url: z.string().min(1).max(8_000),
  headers: z.record(z.string(), z.string()).default({}),
  query: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
};

const answer = z.strictObject({ status: z.int(), ok: z.boolean(), headers: z.record(z.string(), z.string()), body: z.unknown() });

type Asked = Pick<HttpFields, "method" | "headers" | "query"> & { url: string; body?: unknown };

async function ask(http: Http, { url, body, ...fields }: Asked, context: WorkContext): Promise<JsonObject> {
  const hosts = context.hosts ? { hosts: context.hosts } : {};
  // Arguments came as JSON.
  const given = await http(
    { ...fields, url: [url], ...(body === undefined ? {} : { body: body as Json }), expect: answers, ...hosts },
    context,
  );
  const status = given["status"] as number;
  return { ...given, ok: status >= 200 && status < 300 };
}

/** Everything but what another attempt may get over. */
const answers = Array.from({ length: 300 }, (_, n) => n + 200).filter((status) => ![408, 425, 429].includes(status));
