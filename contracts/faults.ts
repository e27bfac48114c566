import type { Json, JsonObject } from "./json.ts";
import { isObject } from "./json.ts";
import { limits } from "./limits.ts";

interface FaultKind {
  /** HTTP status of the answer, or of the problem kept in the run. */
  status: number;
  /** Whether another attempt of the same step or request can succeed. */
  retryable: boolean;
  title: string;
}

/**
 * Every expected error, by its code. A code decides the HTTP status and whether a retry makes sense.
 * Whatever is not in this list is a defect of ours.
 */
export const faults = {
  // errors of a step: what `errors:` of a catch matches
  timeout: { status: 504, retryable: true, title: "Timed out" },
  http: { status: 502, retryable: true, title: "HTTP call failed" },
  tool_input: { status: 422, retryable: false, title: "Tool refused its arguments" },
  tool: { status: 502, retryable: true, title: "Tool failed" },
  effect_unknown: { status: 409, retryable: false, title: "Nobody knows whether it has happened" },
  model: { status: 502, retryable: true, title: "Model call failed" },
  model_output: { status: 502, retryable: false, title: "Model answer does not fit its schema" },
  context_too_long: { status: 422, retryable: false, title: "Longer than what the model takes in" },
  guardrail: { status: 422, retryable: false, title: "A guardrail did not let it pass" },
  activity: { status: 502, retryable: true, title: "Activity failed" },
  max_turns: { status: 422, retryable: false, title: "Agent reached its limit of turns" },
  loop_limit: { status: 422, retryable: false, title: "Loop reached its limit" },
  expression: { status: 422, retryable: false, title: "Expression failed" },
  schema: { status: 422, retryable: false, title: "Value does not fit its schema" },
  join: { status: 422, retryable: false, title: "Join can no longer be met" },
  policy: { status: 403, retryable: false, title: "Refused by policy" },
  budget_exceeded: { status: 402, retryable: false, title: "Budget does not allow it" },
  canceled: { status: 499, retryable: false, title: "Canceled" },
  raised: { status: 500, retryable: false, title: "Raised by the definition" },
  limit: { status: 422, retryable: false, title: "A limit was reached" },
  no_reply: { status: 504, retryable: false, title: "No answer to the message" },
  child: { status: 502, retryable: false, title: "Child run failed" },
  lock: { status: 429, retryable: true, title: "Lock cannot be had" },
  concurrency: { status: 429, retryable: true, title: "As many runs as allowed are under way" },
  // errors of a request
  bad_request: { status: 400, retryable: false, title: "Request cannot be read" },
  unauthenticated: { status: 401, retryable: false, title: "No valid key" },
  forbidden: { status: 403, retryable: false, title: "Not allowed" },
  not_found: { status: 404, retryable: false, title: "Not found" },
  conflict: { status: 409, retryable: false, title: "Conflict" },
  version_exists: { status: 409, retryable: false, title: "Version is published with other content" },
  idempotency_mismatch: { status: 409, retryable: false, title: "Key was used for another request" },
  run_exists: { status: 409, retryable: false, title: "Run id is taken" },
  run_ended: { status: 409, retryable: false, title: "Run has ended" },
  not_retryable: { status: 409, retryable: false, title: "Run cannot be retried" },
  approval_closed: { status: 409, retryable: false, title: "Approval is decided or expired" },
  plan_refused: { status: 409, retryable: false, title: "Plan does not fit what the run has done" },
  approval_stale: { status: 409, retryable: false, title: "Approval shows something else now" },
  approval_voted: { status: 409, retryable: false, title: "Approval has this person's answer" },
  agent_state: { status: 409, retryable: false, title: "Agent's state does not allow it" },
  revision_stale: { status: 409, retryable: false, title: "It was changed in the meantime" },
  step_not_parked: { status: 409, retryable: false, title: "Step does not need attention" },
  too_large: { status: 413, retryable: false, title: "Too large" },
  unsupported_media_type: { status: 415, retryable: false, title: "Unsupported content type" },
  definition_invalid: { status: 422, retryable: false, title: "Definition refused" },
  input_invalid: { status: 422, retryable: false, title: "Input does not fit its schema" },
  reserved_key: { status: 422, retryable: false, title: "Reserved key in data" },
  mailbox_full: { status: 429, retryable: true, title: "Mailbox is full" },
  unavailable: { status: 503, retryable: true, title: "A part of the system does not answer" },
  defect: { status: 500, retryable: false, title: "A defect of ours" },
} as const satisfies Record<string, FaultKind>;

export type FaultCode = keyof typeof faults;

/** One error shape everywhere: in the run, in `catch … as`, in the API (RFC 9457). `instance` is a step path or a URL path. */
export interface Problem {
  /** What `errors:` matches: the fault code, or the type given to `raise`. */
  type: string;
  code: FaultCode;
  status: number;
  title: string;
  detail: string;
  instance?: string;
  [extension: string]: Json | undefined;
}

/** An expected error. Carries its problem across every border inside one process. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly problem: Problem;

  constructor(code: FaultCode, detail: string, more: { instance?: string; cause?: unknown; extra?: JsonObject } = {}) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "Fault";
    this.code = code;
    this.problem = makeProblem(code, detail, { ...more.extra, ...(more.instance === undefined ? {} : { instance: more.instance }) });
  }

  /** The fault a problem was made from: type, status and extensions are kept. */
  static of(problem: Problem): Fault {
    const fault = new Fault(problem.code, problem.detail);
    Object.assign(fault.problem, problem);
    return fault;
  }
}

export const makeProblem = (code: FaultCode, detail: string, extra: JsonObject = {}): Problem => ({
  type: code,
  code,
  status: faults[code].status,
  title: faults[code].title,
  detail,
  ...extra,
});

/** What whatever was thrown says. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const isProblem = (value: unknown): value is Problem =>
  isObject(value) && typeof value["code"] === "string" && Object.hasOwn(faults, value["code"]) && typeof value["detail"] === "string";

/** A problem as it may be kept: what others wrote into it can be of any size. */
export function boundedProblem(problem: Problem): Problem {
  const { type, code, status, title, detail, instance, ...extensions } = problem;
  const kept = Object.entries(extensions).filter(
    ([, value]) => value !== undefined && JSON.stringify(value).length <= limits.errorDetailMax,
  );
  return {
    ...Object.fromEntries(kept),
    type: type.slice(0, 200),
    code,
    status,
    title: title.slice(0, 200),
    detail: detail.slice(0, limits.errorDetailMax),
    ...(instance === undefined ? {} : { instance }),
  };
}
