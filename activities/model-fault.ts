import { types } from "node:util";
import type { TokenUsage } from "../contracts/model-calls.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { refusalOf } from "./quota-headers.ts";
import { retryAdvice } from "./retry-after.ts";
import { saysTooLong } from "./too-long.ts";

/**
 * The fault behind whatever a provider's SDK threw. Both SDKs come from one generator and throw the same shapes:
 * `status` and `headers` for an answer, a cause chain for a broken connection.
 */
function modelFault(error: unknown, label: string): unknown {
  const fault = causeOf(error, (cause) => cause instanceof Fault);
  if (fault) return fault;
  // Not instanceof: errors of Node's own fetch come from another realm than a test's.
  if (!types.isNativeError(error)) return error;
  const answer = readAnswer(error);
  if (answer) return answerFault(error, answer, label);
  const said = readErrorEvent(error);
  if (said) return eventFault(error, said, label);
  if (error.name === "SyntaxError") return brokenFault(`${label} answered something that is not JSON.`, error);
  if (isBrokenConnection(error)) return brokenFault(`${label} cannot be reached: ${deepestMessage(error)}.`, error);
  if (isSdkRefusal(error)) return new Fault("model", `${label}: ${error.message}`, { cause: error, extra: { retryable: false } });
  return error;
}

/** Do it; what a provider's SDK throws becomes its fault. */
export async function faulting<Result>(label: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw modelFault(error, label);
  }
}

interface Gathering<Piece> {
  add(piece: Piece): void;
  /** Its end was said: a stream that stops before was cut, whatever its connection says. */
  readonly isWhole: boolean;
  /** What the provider has counted so far. */
  readonly spent: TokenUsage | undefined;
}

/** Take all pieces of a stream. The fault of one that breaks says what was spent by then. */
export async function gather<Piece>(pieces: AsyncIterable<Piece>, label: string, gathering: Gathering<Piece>): Promise<void> {
  try {
    for await (const piece of pieces) gathering.add(piece);
    if (!gathering.isWhole) throw shapeFault(label, "an end of its stream");
  } catch (error) {
    const fault = modelFault(error, label);
    throw fault instanceof Fault && gathering.spent ? Fault.of({ ...fault.problem, spent: { ...gathering.spent } }) : fault;
  }
}

/** A 200 whose body has not the shape of the provider's API. */
export const shapeFault = (label: string, missing: string): Fault =>
  new Fault("model", `${label} answered without ${missing}.`, { extra: { retryable: true } });

const retryableStatuses: ReadonlySet<number> = new Set([408, 409, 429]);

interface AnswerError {
  status: number;
  headers: Headers;
  /** The provider's own. */
  code?: Json;
}

export const tooLongFault = (error: Error, label: string, extra: JsonObject): Fault =>
  new Fault(
    "context_too_long",
    `${label} answered ${cut(error.message)}. Ask for less at a time, or name a model with a larger window among \`fallbacks\`.`,
    { cause: error, extra },
  );

function answerFault(error: Error, answer: AnswerError, label: string): Fault {
  if (saysTooLong({ status: answer.status, code: answer.code, message: error.message }))
    return tooLongFault(error, label, { upstreamStatus: answer.status });
  const header = (name: string): string | null => answer.headers.get(name);
  // A provider knows better than its status whether another attempt makes sense.
  const said = header("x-should-retry");
  const retryable = said === "true" || (said !== "false" && (answer.status >= 500 || retryableStatuses.has(answer.status)));
  const advice = { ...(answer.status === 429 ? refusalOf(header) : {}), ...retryAdvice(retryable, header) };
  const hint = answer.status === 404 ? " Is the model's name right? TENUTO_MODELS gives other ones." : "";
  return new Fault("model", `${label} answered ${cut(error.message)}.${hint}`, {
    cause: error,
    extra: { ...advice, upstreamStatus: answer.status },
  });
}

/** An error that a provider sends in the middle of its stream, after a status of 200: it has a type but no status. */
function readErrorEvent(error: Error): { type: string } | undefined {
  if (error.constructor.name !== "APIError") return undefined;
  const { type, code } = error as { type?: unknown; code?: unknown };
  // OpenAI's responses API calls the event itself so.
  return { type: ([type, code].find((name) => typeof name === "string" && name !== "error") as string | undefined) ?? "unknown" };
}

/** Unless it says that the request is wrong, another attempt makes sense. */
function eventFault(error: Error, { type }: { type: string }, label: string): Fault {
  if (saysTooLong({ code: type, message: error.message })) return tooLongFault(error, label, {});
  return new Fault("model", `${label} broke off its answer (${type}): ${cut(error.message)}.`, {
    cause: error,
    extra: { retryable: !/^(invalid_|authentication_|permission_|not_found|billing)/.test(type) },
  });
}

const brokenFault = (detail: string, cause: Error): Fault => new Fault("model", detail, { cause, extra: { retryable: true } });

function readAnswer(error: Error): AnswerError | undefined {
  const { status, headers, code } = error as Partial<AnswerError>;
  if (typeof status !== "number" || typeof headers?.get !== "function") return undefined;
  return { status, headers, ...(code === undefined ? {} : { code }) };
}

const isBrokenConnection = (error: Error): boolean =>
  error.constructor.name.startsWith("APIConnection") ||
  causeOf(error, (cause) =>
    /^(UND_ERR_|E(?!RR_)[A-Z_]{3,}$|CERT_|ERR_TLS_|ERR_SSL_|SELF_SIGNED|UNABLE_TO|DEPTH_ZERO)/.test(
      String((cause as { code?: unknown }).code),
    ),
  ) !== undefined ||
  (error.name === "TypeError" && /terminated|fetch failed/.test(error.message));

// The SDKs' own base classes: a request they would not send, such as one without a key.
const isSdkRefusal = (error: Error): boolean => /^(OpenAIError|AnthropicError)$/.test(error.constructor.name);

function causeOf(error: unknown, matches: (cause: Error) => boolean): Error | undefined {
  for (let cause = error, depth = 0; types.isNativeError(cause) && depth < 8; cause = cause.cause, depth++)
    if (matches(cause)) return cause;
  return undefined;
}

function deepestMessage(error: Error): string {
  let deepest = error;
  for (let depth = 0; types.isNativeError(deepest.cause) && depth < 8; depth++) deepest = deepest.cause;
  return cut(deepest.message || deepest.name).replace(/\.$/, "");
}

const cut = (text: string): string => (text.length <= 500 ? text : `${text.slice(0, 500)}…`);
