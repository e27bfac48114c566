import type { Response } from "express";
import type { Logger } from "pino";
import { Fault, faults, makeProblem, type FaultCode, type Problem } from "../contracts/faults.ts";
import type { Detail } from "../contracts/api.schema.ts";
import type { JsonObject } from "../contracts/json.ts";
import { databaseFault } from "./postgres.ts";
import { temporalFault } from "./temporal.ts";

const RETRY_AFTER_SECONDS = "1";

/** An expected error with the list of what is wrong. */
export const faultOf = (code: FaultCode, detail: string, errors?: Detail[]): Fault =>
  new Fault(code, detail, errors === undefined ? {} : { extra: { errors: errors as unknown as JsonObject[] } });

/**
 * The problem of any error. What is not expected becomes a `defect`: the log gets the cause, the client only an id to name.
 */
export function problemOf(error: unknown, context: { log: Logger; requestId: string; instance: string }): Problem {
  const fault = faultBehind(error);
  if (fault === undefined) context.log.error({ err: error, requestId: context.requestId }, "defect");
  const problem = fault?.problem ?? makeProblem("defect", "This is our fault, not yours. Name the request id when you report it.");
  return { ...problem, instance: context.instance, requestId: context.requestId };
}

/** The expected error that this one is, or stands for; undefined for a defect. */
export function faultBehind(error: unknown): Fault | undefined {
  if (error instanceof Fault) return error;
  return httpFault(error) ?? temporalFault(error) ?? databaseFault(error);
}

/** Retry-After, WWW-Authenticate and the like: headers that a problem's code calls for. */
export function problemHeaders(problem: Problem): Record<string, string> {
  if (problem.code === "unauthenticated") return { "WWW-Authenticate": "Bearer" };
  if (problem.code === "too_large") return { Connection: "close" };
  // A twin of a request that is still at work may ask again too.
  return problem.code === "conflict" || faults[problem.code].retryable ? { "Retry-After": RETRY_AFTER_SECONDS } : {};
}

export function sendProblem(response: Response, problem: Problem, headers: Record<string, string> = problemHeaders(problem)): void {
  if (response.headersSent) return void response.destroy();
  response.status(problem.status).set(headers).type("application/problem+json").send(JSON.stringify(problem));
}

const httpCodes: Record<number, FaultCode> = { 400: "bad_request", 404: "not_found", 413: "too_large", 415: "unsupported_media_type" };

// Errors of Express and its body reader carry a status; everything else there is the client's fault too.
function httpFault(error: unknown): Fault | undefined {
  if (!(error instanceof Error) || !("status" in error) || typeof error.status !== "number") return undefined;
  if (error.status < 400 || error.status > 499 || !("expose" in error || error instanceof URIError)) return undefined;
  const code = httpCodes[error.status] ?? "bad_request";
  return new Fault(code, code === "too_large" ? "The body is too large." : "The request cannot be read.", { cause: error });
}
