import { expect, test } from "@jest/globals";
import { ApplicationFailure, ServiceError, WorkflowUpdateFailedError } from "@temporalio/client";
import { pino } from "pino";
import { Fault, makeProblem } from "../contracts/faults.ts";
import { problemHeaders, problemOf } from "./problem.ts";

const log = pino({ level: "silent" });
const read = (error: unknown) => problemOf(error, { log, requestId: "q1", instance: "/api/v2/runs" });

test("a fault keeps its code, status and sentence, and names the request", () => {
  expect(read(new Fault("not_found", "No run r_1."))).toEqual({
    type: "not_found",
    code: "not_found",
    status: 404,
    title: "Not found",
    detail: "No run r_1.",
    instance: "/api/v2/runs",
    requestId: "q1",
  });
});

test("a defect says nothing of its cause", () => {
  const problem = read(new Error("password=hunter2 at /srv/app.ts:1"));
  expect(problem.status).toBe(500);
  expect(JSON.stringify(problem)).not.toMatch(/hunter2|app\.ts/);
});

test("what a workflow's validator refused comes out as the workflow named it", () => {
  const refused = ApplicationFailure.create({
    type: "mailbox_full",
    message: "full",
    details: [makeProblem("mailbox_full", "2,000 unread.")],
  });
  const problem = read(new WorkflowUpdateFailedError("Workflow Update failed", refused));
  expect(problem).toMatchObject({ code: "mailbox_full", status: 429, detail: "2,000 unread." });
  expect(problemHeaders(problem)).toEqual({ "Retry-After": "1" });
});

test("a Temporal or a Postgres that does not answer is 503, with a time to try again", () => {
  const grpc = Object.assign(new Error("14 UNAVAILABLE: No connection established"), { code: 14, details: "No connection", metadata: {} });
  const postgres = Object.assign(new Error("Can't reach database server"), { code: "P1001" });
  for (const error of [
    new ServiceError("Failed to start", { cause: grpc }),
    grpc,
    postgres,
    new Error("connect ECONNREFUSED 127.0.0.1:5432"),
    new Error("Client has encountered a connection error and is not queryable"),
    new Error("Query read timeout"),
  ]) {
    const problem = read(error);
    expect(problem).toMatchObject({ code: "unavailable", status: 503 });
    expect(problemHeaders(problem)).toEqual({ "Retry-After": "1" });
  }
});

test("a missing key says how to send one", () => {
  expect(problemHeaders(makeProblem("unauthenticated", "…"))).toEqual({ "WWW-Authenticate": "Bearer" });
});
