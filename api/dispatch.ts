import type { NextFunction, Request, RequestHandler, Response } from "express";
import { Fault, isProblem } from "../contracts/faults.ts";
import { runIdOf } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { requireScope, type Authenticator, type Caller } from "./auth.ts";
import { idempotencyKeyOf, readBody, readBytes, readParameters } from "./body.ts";
import type { Deps } from "./deps.ts";
import { once } from "./idempotency.ts";
import { takesBody, type Answer, type Call, type Route } from "./route.ts";

/** The Express handlers of one route: authorise, read, act once, answer. Errors go to the app's error handler. */
export function handlersOf(route: Route, deps: Deps, authenticator: Authenticator): RequestHandler[] {
  const authorise = async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    response.locals["route"] = route.id;
    response.locals["caller"] = await within(AUTH_MS, response, callerOf(route, request, authenticator));
    next();
  };
  const act = async (request: Request, response: Response): Promise<void> => {
    const caller = response.locals["caller"] as Caller;
    const call: Call = {
      ...readCall(route, request, caller),
      deps,
      caller,
      isStillAllowed: () => authenticator.isValid(caller),
      requestId: response.locals["requestId"] as string,
      signal: signalOf(deps, response),
      request,
      response,
    };
    send(
      response,
      await within(
        ANSWER_MS + waitMsOf(call),
        response,
        once(route, call, () => route.handle(call)),
      ),
    );
  };
  // The body is read only for callers with a valid key.
  return takesBody(route) ? [authorise, readBytes(), act] : [authorise, act];
}

/** Together under 10 s: whoever asks hears by then, also when a store has hung. The second is longer than Temporal's deadline for an update. */
const AUTH_MS = 3_000;
const ANSWER_MS = 6_500;

const nobody: Caller = { tenant: "", principal: { name: "", kind: "service", roles: [] }, keyHash: "", isRoot: false };

async function callerOf(route: Route, request: Request, authenticator: Authenticator): Promise<Caller> {
  if (route.scope === "open") return nobody;
  const header = request.get("Authorization");
  if (route.scope === "optional") return authenticator.authenticate(header).catch(asNobody);
  const caller = await authenticator.authenticate(header);
  requireScope(caller, route.scope);
  return caller;
}

// Senders of webhooks may have credentials of their own in that header.
function asNobody(error: unknown): Caller {
  if (error instanceof Fault && error.code === "unauthenticated") return nobody;
  throw error;
}

const readCall = (route: Route, request: Request, caller: Caller) => ({
  params: readParameters(route.params, paramsOf(route, request, caller)),
  query: readParameters(route.query, { ...request.query }),
  idempotencyKey: route.idempotency ? idempotencyKeyOf(request) : undefined,
  body: readBody(route, request),
});

// A run is found under the id that its caller gave it, too.
function paramsOf(route: Route, { params }: Request, { tenant }: Caller): Request["params"] {
  const { id } = params;
  return typeof id === "string" && route.path.startsWith("/api/v2/runs/{id}") ? { ...params, id: runIdOf(tenant, id) } : params;
}

// By hand: AbortSignal.any would keep something of each request on the signal that lives as long as the process.
function signalOf({ closing }: Deps, response: Response): AbortSignal {
  const over = new AbortController();
  const abort = (): void => over.abort();
  closing.addEventListener("abort", abort);
  response.once("close", () => {
    closing.removeEventListener("abort", abort);
    abort();
  });
  if (closing.aborted) abort();
  return over.signal;
}

const waitMsOf = ({ query }: Call): number => ((query as { wait?: number }).wait ?? 0) * 1_000;

/** A part that has hung must not hold its callers for ever. A stream has begun to answer and goes on. */
async function within<T>(ms: number, response: Response, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const giveUp = (): void => reject(new Fault("unavailable", "There was no answer in time; try again."));
    timer = setTimeout(() => !response.headersSent && giveUp(), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function send(response: Response, answer: Answer): void {
  if (answer === "streamed") return;
  const { status, body, headers = {} } = answer;
  response.status(status).set(headers);
  if (body === undefined) response.end();
  else response.type(mediaTypeOf(status, body)).send(JSON.stringify(body));
}

const mediaTypeOf = (status: number, body: Json): string =>
  status >= 400 && isProblem(body) ? "application/problem+json" : "application/json";
