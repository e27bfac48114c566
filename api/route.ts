import type { Request, Response } from "express";
import type { z } from "zod";
import type { FaultCode } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Caller, Scope } from "./auth.ts";
import type { Deps } from "./deps.ts";

/**
 * One line of the API: what the Express routes and the OpenAPI document are both made from.
 * `P`, `Q`, `B` are the schemas of path parameters, query and JSON body.
 */
export interface Route<P extends z.ZodType = z.ZodType, Q extends z.ZodType = z.ZodType, B extends z.ZodType = z.ZodType> {
  /** The document's operationId; also the scope of stored idempotency keys. */
  id: string;
  method: "get" | "post" | "put" | "patch" | "delete";
  /** As in the document: `/api/v2/runs/{id}`. */
  path: string;
  summary: string;
  description?: string;
  tag: string;
  /** What the caller's roles must allow; "open" = without a key. */
  scope: Scope | "open";
  params?: P;
  query?: Q;
  body?: B;
  /** The body is a definition's text, kept as it was sent so that positions are right. */
  text?: true;
  /** A missing body counts as `{}`. */
  bodyOptional?: true;
  /** Whether `Idempotency-Key` is honoured, and by whom. */
  idempotency?: "table" | "handler";
  /** Rebuilds what a stored answer must not hold. */
  revive?: (stored: Json, call: Call) => Json;
  answers: Record<number, RouteAnswer>;
  /** Expected errors beside those that every route of its kind can answer. */
  faults?: FaultCode[];
  handle: (call: Call<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Answer>;
}

export interface RouteAnswer {
  description: string;
  schema?: z.ZodType;
  /** Another media type beside, or without a schema instead of, JSON. */
  mediaType?: string;
  headers?: ("Location" | "Retry-After")[];
}

/** What a handler works with. */
export interface Call<P = unknown, Q = unknown, B = unknown> {
  deps: Deps;
  caller: Caller;
  params: P;
  query: Q;
  body: B;
  idempotencyKey: string | undefined;
  requestId: string;
  /** Whether the caller's key is still valid: long answers ask. */
  isStillAllowed: () => Promise<boolean>;
  /** Aborted when the client is gone or the process ends: whoever waits answers with what there is. */
  signal: AbortSignal;
  request: Request;
  response: Response;
}

/** A handler that writes the response itself answers "streamed". */
export type Answer = { status: number; body?: Json; headers?: Record<string, string> } | "streamed";

/** Text of a definition, as it was sent. */
export interface DefinitionText {
  text: string;
  format: "json" | "yaml";
}

/** Ties the types of schemas and handler together, then forgets them, so that all routes fit one list. */
export const route = <P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(spec: Route<P, Q, B>): Route =>
  // The dispatcher parses with exactly these schemas before it calls the handler.
  spec as unknown as Route;

export const ok = (body: JsonObject): Answer => ({ status: 200, body });
