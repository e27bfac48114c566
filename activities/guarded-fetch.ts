import { fetch as undiciFetch } from "undici";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { allowsHost } from "../contracts/policy.ts";
import type { Egress } from "./egress.ts";

export type GuardedFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** `fetch` for libraries that bring none of our care: through the egress guard, no hop unasked, no answer without an end. */
export const createGuardedFetch =
  (egress: Egress, hosts: string[] | undefined): GuardedFetch =>
  async (given, init) => {
    const url = new URL(given);
    egress.check(url);
    if (!allowsHost(hosts, url)) throw new Fault("policy", `\`policy.hosts\` of the definition does not let ${url.host} pass.`);
    // Two declarations of the same standard: the platform's and undici's.
    const options = { ...init, redirect: "manual", dispatcher: egress.dispatcher } as Parameters<typeof undiciFetch>[1];
    const answer = (await undiciFetch(url, options)) as unknown as Response;
    return answer.body === null ? answer : limited(answer, answer.body);
  };

/** An SDK believes whatever comes; more than this nobody can use. */
function limited(answer: Response, body: ReadableStream<Uint8Array>): Response {
  let bytes = 0;
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      if (bytes > limits.mcpAnswerBytesMax)
        controller.error(
          new Fault("limit", `The answer has more than ${limits.mcpAnswerBytesMax} bytes.`, { extra: { hasHappened: true } }),
        );
      else controller.enqueue(chunk);
    },
  });
  const { status, statusText, headers } = answer;
  return new Response(body.pipeThrough(counting), { status, statusText, headers });
}
