import { randomUUID } from "node:crypto";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import helmet from "helmet";
import { makeProblem } from "../contracts/faults.ts";
import { makeAuthenticator } from "./auth.ts";
import type { Deps } from "./deps.ts";
import { handlersOf } from "./dispatch.ts";
import { problemOf, sendProblem } from "./problem.ts";
import type { Route } from "./route.ts";
import { routes } from "./routes.ts";

/** The HTTP API. Every route comes from the table in `routes.ts`; what is not in it is a 404 or a 405 problem. */
export function createApp(deps: Deps): Express {
  const app = express();
  app.disable("x-powered-by").disable("etag").enable("case sensitive routing").enable("strict routing");
  app.set("query parser", "simple");
  app.use(identify, security, log(deps));
  const authenticator = makeAuthenticator(deps.database, deps.settings);
  for (const [path, there] of byPath(routes)) {
    for (const route of there) app[route.method](path, ...handlersOf(route, deps, authenticator));
    app.all(path, notAllowed(there));
  }
  // Where people look first. No routes: no program needs them.
  app.get(["/", "/api/v2"], (_request, response) => response.redirect("/docs"));
  app.use(notFound, failed(deps));
  return app;
}

/** Fixed paths first, so that `/workflows/validate` is never taken for a workflow's name. */
function byPath(all: readonly Route[]): [string, Route[]][] {
  const groups = new Map<string, Route[]>();
  for (const route of all) {
    const path = route.path.replaceAll(/\{(\w+)\}/g, ":$1");
    groups.set(path, [...(groups.get(path) ?? []), route]);
  }
  return [...groups].toSorted(([a], [b]) => Number(a.includes(":")) - Number(b.includes(":")));
}

const identify: RequestHandler = (request, response, next) => {
  const given = request.get("X-Request-Id") ?? "";
  const requestId = /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : randomUUID();
  response.locals["requestId"] = requestId;
  response.set({ "X-Request-Id": requestId, "Cache-Control": "no-store" });
  next();
};

// Served over plain HTTP on a laptop: there is nothing to upgrade to.
const security = helmet({ contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } } });

const log =
  (deps: Deps): RequestHandler =>
  (request, response, next) => {
    const startedAt = performance.now();
    const path = request.path;
    response.once("close", () => {
      const { requestId, route, caller } = response.locals;
      const entry = {
        requestId,
        route,
        method: request.method,
        path,
        status: response.statusCode,
        ms: Math.round(performance.now() - startedAt),
      };
      const level = request.method === "GET" && response.statusCode < 400 ? "debug" : "info";
      deps.log[level]({ ...entry, tenant: (caller as { tenant?: string } | undefined)?.tenant }, "request");
    });
    next();
  };

const notAllowed = (there: Route[]): RequestHandler => {
  const methods = there.map((route) => route.method.toUpperCase());
  const allow = [...methods, ...(methods.includes("GET") ? ["HEAD"] : [])].join(", ");
  return (request, response) => {
    const problem = { ...makeProblem("bad_request", `Use one of: ${allow}.`), status: 405, title: "Method not allowed" };
    sendProblem(response, { ...problem, instance: request.path, requestId: response.locals["requestId"] as string }, { Allow: allow });
  };
};

const notFound: RequestHandler = (request, response) => {
  const problem = makeProblem("not_found", "There is no such address; /docs lists all.", { instance: request.path });
  sendProblem(response, { ...problem, requestId: response.locals["requestId"] as string });
};

const failed =
  (deps: Deps): ErrorRequestHandler =>
  // oxlint-disable-next-line max-params -- Express knows an error handler by its four parameters.
  (error, request, response, _next) => {
    const requestId = response.locals["requestId"] as string;
    sendProblem(response, problemOf(error, { log: deps.log, requestId, instance: request.path }));
  };
