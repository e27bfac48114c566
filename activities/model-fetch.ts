import { Agent, fetch as undiciFetch, type RequestInit as UndiciRequestInit, type Response as UndiciResponse } from "undici";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";

/** A `fetch` for providers' SDKs: no time limit of its own, and fault `limit` as soon as an answer grows above `bytesMax`. */
export function createModelFetch(bytesMax: number = limits.modelAnswerBytesMax): typeof fetch {
  // fetch's own 300 s limits would cut long answers: the step's timeout decides.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 10_000 } });
  return async (input, init) => {
    // undici's types and those of Node's global fetch describe the same objects under different names.
    const answer = await undiciFetch(input instanceof Request ? input.url : input, { ...(init as UndiciRequestInit), dispatcher });
    // One that says how long it is needs no counting, which costs as much as the rest of the call.
    if (lengthOf(answer) <= bytesMax) return answer as unknown as Response;
    const body = answer.body as unknown as ReadableStream<Uint8Array> | null;
    const headers = new Headers([...answer.headers]);
    const empty = body === null || answer.status === 204 || answer.status === 304;
    return new Response(empty ? null : body.pipeThrough(byteLimit(bytesMax)), { status: answer.status, headers });
  };
}

/** Of all providers' SDKs: retries and time limits are the step's, and seen in the run's history. */
export const sdkOptions = { maxRetries: 0, timeout: 2 ** 31 - 1, logLevel: "off" as const };

/** Infinity when it does not say, or when it says the length of what is still packed. */
function lengthOf({ headers }: UndiciResponse): number {
  const length = headers.get("content-length");
  return length === null || headers.has("content-encoding") ? Number.POSITIVE_INFINITY : Number(length);
}

function byteLimit(bytesMax: number): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      if (bytes > bytesMax) controller.error(new Fault("limit", `The model's answer is above ${bytesMax} bytes.`));
      else controller.enqueue(chunk);
    },
  });
}
