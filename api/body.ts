import express, { type Request, type RequestHandler } from "express";
import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { nearest } from "../contracts/nearest.ts";
import { faultOf } from "./problem.ts";
import type { DefinitionText, Route } from "./route.ts";
import { pointerOf, unkeepable } from "./text.ts";

/** Reads at most the limit, also of what a compressed body unpacks to; parsing is ours. */
export const readBytes = (): RequestHandler => express.raw({ type: () => true, limit: limits.bodyBytesMax });

/** What the handler gets: the checked JSON body, or a definition's text as it was sent. */
export function readBody(route: Route, request: Request): unknown {
  if (route.text) return definitionText(request);
  if (route.bytes) return bytesOf(request);
  if (!route.body) return undefined;
  const bytes = bytesOf(request);
  if (bytes.length === 0 && route.bodyOptional) return check(route.body, {});
  if (mediaType(request) !== "application/json")
    throw new Fault("unsupported_media_type", "Send JSON with `Content-Type: application/json`.");
  return check(route.body, parseJson(decode(bytes)));
}

/** Query and path parameters: whatever does not fit is a `bad_request` with the parameter's name. */
export function readParameters(schema: z.ZodType | undefined, values: unknown): unknown {
  if (!schema) return {};
  refuseUnkeepable(values as Json, "bad_request");
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  throw unlike("bad_request", "A parameter", mismatches(parsed.error, schema));
}

export function idempotencyKeyOf(request: Request): string | undefined {
  const key = request.get("Idempotency-Key");
  if (key === undefined) return undefined;
  if (/^[\x20-\x7e]+$/.test(key) && key.length <= limits.idempotencyKeyBytesMax) return key;
  throw new Fault("bad_request", `Idempotency-Key must have 1 to ${limits.idempotencyKeyBytesMax} printable ASCII characters.`);
}

/** A body with thousands of wrong fields gets an answer of bounded size. */
const MISMATCHES_MAX = 100;

const formats: Record<string, DefinitionText["format"]> = {
  "application/json": "json",
  "application/yaml": "yaml",
  "application/x-yaml": "yaml",
  "text/yaml": "yaml",
};

export const definitionMediaTypes = Object.keys(formats);

function definitionText(request: Request): DefinitionText {
  const format = formats[mediaType(request) ?? ""];
  if (!format) throw new Fault("unsupported_media_type", `Send the definition as one of: ${definitionMediaTypes.join(", ")}.`);
  return { text: decode(bytesOf(request)), format };
}

function check(schema: z.ZodType, value: Json): unknown {
  refuseUnkeepable(value, "schema");
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw unlike("schema", "The body", mismatches(parsed.error, schema));
}

function refuseUnkeepable(value: Json, code: "schema" | "bad_request"): void {
  const bad = unkeepable(value);
  if (bad) throw faultOf(code, bad.message, [bad]);
}

interface Mismatch {
  pointer: string;
  code: string;
  message: string;
}

const mismatches = (error: z.ZodError, schema: z.ZodType): Mismatch[] =>
  error.issues.slice(0, MISMATCHES_MAX).flatMap((issue): Mismatch[] =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({
          pointer: pointerOf([...issue.path, key]),
          code: "unknown_field",
          message: unknownField(key, issue, schema),
        }))
      : [{ pointer: pointerOf(issue.path), code: issue.code, message: issue.message }],
  );

function unknownField(key: string, { path }: z.core.$ZodIssue, schema: z.ZodType): string {
  const known = path.length === 0 && schema instanceof z.ZodObject ? nearest(key, Object.keys(schema.shape)) : undefined;
  return `The field does not exist here.${known === undefined ? "" : ` Did you mean \`${known}\`?`}`;
}

/** Whoever reads no more than the sentence shall know what to change, too. */
function unlike(code: "schema" | "bad_request", what: string, errors: Mismatch[]): Fault {
  const [first] = errors;
  const place = first && first.pointer !== "" ? `${first.pointer}: ` : "";
  return faultOf(code, `${what} is not as it should be. ${place}${first?.message ?? ""}`.trim(), errors);
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new Fault("bad_request", `The body is not JSON: ${(error as Error).message.slice(0, 200)}`, { cause: error });
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Fault("bad_request", "The body is not UTF-8.", { cause: error });
  }
}

function mediaType(request: Request): string | undefined {
  const [type, ...parameters] = (request.get("Content-Type") ?? "").split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith("charset="))?.slice("charset=".length);
  return charset === undefined || /^"?utf-?8"?$/.test(charset) ? type : undefined;
}

// Without a body Express leaves `body` undefined.
const bytesOf = (request: Request): Buffer => (Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));
