import { setTimeout as sleep } from "node:timers/promises";
import type { Answered } from "./invariants/evidence.ts";

/** Longer than any answer may take: a request without one by then hangs. */
const hangsAfterMs = 20_000;
const againAfterMs = 250;

interface Asked {
  method?: "GET" | "POST";
  body?: unknown;
  key?: string;
}

interface Answer {
  status: Answered["status"];
  body: { id?: string; data?: unknown };
}

/** A client of the API that writes down how each of its requests was answered. */
export class Caller {
  readonly answers: Answered[] = [];
  readonly #url: string;
  readonly #apiKey: string;

  constructor({ apiUrl, apiKey }: { apiUrl: string; apiKey: string }) {
    this.#url = apiUrl;
    this.#apiKey = apiKey;
  }

  async ask(path: string, asked: Asked = {}): Promise<Answer> {
    const began = performance.now();
    const answer = await this.#send(path, asked);
    const { status, isProblem } = answer;
    this.answers.push({ what: `${asked.method ?? "GET"} ${path}`, ms: Math.round(performance.now() - began), status, isProblem });
    return answer;
  }

  /** As clients should: the same request again until it is answered with something else than "try again". */
  async insist(path: string, asked: Asked, patienceMs: number): Promise<Answer> {
    for (const until = Date.now() + patienceMs; ;) {
      const answer = await this.ask(path, asked);
      if ((typeof answer.status === "number" && answer.status !== 503) || Date.now() > until) return answer;
      await sleep(againAfterMs);
    }
  }

  async #send(path: string, { method = "GET", body, key }: Asked): Promise<Answer & { isProblem: boolean }> {
    try {
      const response = await fetch(`${this.#url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.#apiKey}`,
          "content-type": "application/json",
          ...(key === undefined ? {} : { "idempotency-key": key }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(hangsAfterMs),
      });
      const isProblem = (response.headers.get("content-type") ?? "").startsWith("application/problem+json");
      return { status: response.status, body: (await response.json()) as Answer["body"], isProblem };
    } catch (error) {
      return { status: brokenBy(error), body: {}, isProblem: false };
    }
  }
}

function brokenBy(error: unknown): "refused" | "cut" | "late" {
  if (error instanceof Error && error.name === "TimeoutError") return "late";
  const cause = error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined;
  return cause?.code === "ECONNREFUSED" ? "refused" : "cut";
}
