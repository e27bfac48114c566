import type { LookupFunction } from "node:net";
import { types } from "node:util";
import type { Dispatcher } from "undici";
import type { HttpFields } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { allowsHost } from "../contracts/policy.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import { createEgress, type Egress } from "./egress.ts";
import { excerpt, parseBody, readBytes, readStart } from "./http-body.ts";
import { answerHeaders, crossOriginHeaders, requestHeaders, type Headers } from "./http-headers.ts";
import { assembleUrl } from "./http-url.ts";
import { retryAdvice } from "./retry-after.ts";
import { fromOutside, runHeaders, withDeadline, type WorkContext } from "./work.ts";

export type Http = (fields: HttpFields, context: WorkContext) => Promise<JsonObject>;

/**
 * Call a server. Out: `{ status, headers, body }`.
 *
 * Faults: `http` with `status` and `body` of the answer (extensions `retryable`, `retryAfterMs`), `policy` for what may not
 * be called, `timeout`, `limit`, `reserved_key`. Extension `mayHaveHappened`: the server may have done what it was asked for.
 * Retry: the same `Idempotency-Key` in every attempt.
 */
export function createHttp(deps: { allow: string[]; lookup?: LookupFunction }): Http {
  const egress = createEgress(deps);
  return async (fields, context) => {
    const request = buildRequest(fields, context);
    return withDeadline(context, context.timeoutMs, async (signal) => {
      const sending = { signal, isSentOn: false };
      try {
        const { answer, url } = await follow(egress, request, fields, sending);
        return await readAnswer(answer, { ...request, url }, fields.expect);
      } catch (error) {
        // It is often done first, and its result to be read elsewhere.
        throw sending.isSentOn ? perhapsDone(error) : error;
      }
    });
  };
}

interface Sending {
  signal: AbortSignal;
  isSentOn: boolean;
}

/** The server may have done what it was asked for, although it gave no good answer. */
export function perhapsDone(error: unknown): unknown {
  if (error instanceof Fault) Object.assign(error.problem, { mayHaveHappened: true });
  return error;
}

interface Request {
  method: string;
  url: URL;
  headers: Headers;
  body: string | undefined;
}

type Answer = Dispatcher.ResponseData;

function buildRequest(fields: HttpFields, context: WorkContext): Request {
  const method = fields.method.toUpperCase();
  if (!methods.has(method)) throw new Fault("policy", `Method ${method.slice(0, 20)} is not called; one of ${[...methods].join(", ")} is.`);
  const headers = requestHeaders(fields.headers, runHeaders(context));
  const body = fields.body === undefined ? undefined : typeof fields.body === "string" ? fields.body : JSON.stringify(fields.body);
  if (body !== undefined) headers["content-type"] ??= typeof fields.body === "string" ? "text/plain; charset=utf-8" : "application/json";
  return { method, url: assembleUrl(fields.url, fields.query), headers, body };
}

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Redirects by hand: every hop is a new address to check and may be somebody else's server. */
async function follow(
  egress: Egress,
  first: Request,
  { expect, hosts }: HttpFields,
  sending: Sending,
): Promise<{ answer: Answer; url: URL }> {
  let request = first;
  for (let redirects = 0; ; redirects++) {
    if (!allowsHost(hosts, request.url))
      throw new Fault("policy", `\`policy.hosts\` of the definition does not let ${request.url.host} pass.`);
    const answer = await send(egress, request, sending.signal);
    const location = answer.headers["location"];
    const isFinal = !redirectStatuses.has(answer.statusCode) || typeof location !== "string" || expect?.includes(answer.statusCode);
    if (isFinal) return { answer, url: request.url };
    sending.isSentOn = true;
    answer.body.on("error", () => {}).destroy();
    if (redirects >= limits.httpRedirectsMax) throw finalFault(`${nameOf(first)} redirected more than ${limits.httpRedirectsMax} times.`);
    request = redirected(request, answer.statusCode, location);
  }
}

async function send(egress: Egress, request: Request, signal: AbortSignal): Promise<Answer> {
  egress.check(request.url);
  try {
    return await egress.dispatcher.request({
      origin: request.url.origin,
      path: request.url.pathname + request.url.search,
      method: request.method as Dispatcher.HttpMethod,
      headers: request.headers,
      ...(request.body === undefined ? {} : { body: request.body }),
      signal,
    });
  } catch (error) {
    throw connectionFault(error, request);
  }
}

const redirectStatuses = new Set([301, 302, 303, 307, 308]);

function redirected(request: Request, status: number, location: string): Request {
  const url = URL.canParse(location, request.url.href) ? new URL(location, request.url) : undefined;
  if (!url) throw finalFault(`${nameOf(request)} redirected to something that is no URL.`);
  if (request.url.protocol === "https:" && url.protocol !== "https:")
    throw new Fault("policy", `${nameOf(request)} redirected from https to ${url.protocol}`);
  url.hash = "";
  const toGet = (status === 303 && request.method !== "HEAD") || ((status === 301 || status === 302) && request.method === "POST");
  const kept = url.origin === request.url.origin ? request.headers : crossOriginHeaders(request.headers);
  const { "content-type": contentType, ...rest } = kept;
  if (toGet) return { method: "GET", url, headers: rest, body: undefined };
  return {
    method: request.method,
    url,
    headers: contentType === undefined ? rest : { ...rest, "content-type": contentType },
    body: request.body,
  };
}

async function readAnswer(answer: Answer, request: Request, expect: number[] | undefined): Promise<JsonObject> {
  const status = answer.statusCode;
  const headers = answerHeaders(answer.headers);
  const isExpected = expect ? expect.includes(status) : status >= 200 && status < 300;
  const bytes = await readAll(answer, headers, request, isExpected);
  if (!isExpected) throw statusFault(request, status, headers, excerpt(bytes, headers["content-type"]));
  try {
    return { status, headers, body: fromOutside(parseBody(bytes, headers["content-type"]), nameOf(request)) };
  } catch (error) {
    throw perhapsDone(error);
  }
}

async function readAll(answer: Answer, headers: Headers, request: Request, isWhole: boolean): Promise<Buffer> {
  const encoding = request.method === "HEAD" ? undefined : headers["content-encoding"];
  try {
    return isWhole ? await readBytes(answer.body, encoding) : await readStart(answer.body, encoding);
  } catch (error) {
    throw perhapsDone(connectionFault(error, request));
  }
}

function statusFault(request: Request, status: number, headers: Headers, body: Json): Fault {
  const advice = retryAdvice(status >= 500 || retryableStatuses.has(status), (name) => headers[name]);
  // The error travels through the run like any other value from outside.
  const safe = usesReservedKey(body) ? JSON.stringify(body) : body;
  const fault = new Fault("http", `${nameOf(request)} answered ${status}.`, { extra: { ...advice, status, body: safe } });
  return refuses(status) ? fault : (perhapsDone(fault) as Fault);
}

/** 408 comes from gateways, too, that have passed the request on. */
const refuses = (status: number): boolean => status >= 400 && status < 500 && status !== 408;

const retryableStatuses: ReadonlySet<number> = new Set([408, 425, 429]);

function connectionFault(error: unknown, request: Request): unknown {
  if (error instanceof Fault || !types.isNativeError(error)) return error;
  if (error.cause instanceof Fault) return error.cause;
  const detail = `${nameOf(request)} broke off: ${error.message || error.name}`;
  const fault = new Fault("http", detail, { cause: error, extra: { retryable: true } });
  return wasNeverSent(error) ? fault : perhapsDone(fault);
}

/** What somebody's client threw says that no connection was made. Many put the socket's error into one of their own. */
export function wasNeverSent(error: unknown): boolean {
  for (let inner = error, depth = 0; types.isNativeError(inner) && depth < CAUSES_MAX; inner = inner.cause, depth += 1)
    if ("code" in inner && typeof inner.code === "string") return neverSent.has(inner.code);
  return false;
}

const CAUSES_MAX = 5;

/** No connection was made. */
const neverSent: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

const finalFault = (detail: string): Fault => new Fault("http", detail, { extra: { retryable: false } });

/** Without the query: it may hold secrets. */
const nameOf = ({ method, url }: Request): string => `${method} ${url.origin}${url.pathname}`;
