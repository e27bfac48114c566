import type { RunAnswer, Server } from "../cli/api-client.ts";
import { startModelServer } from "../tests/servers/model-server.ts";
import { readStream } from "../tests/stack/sse.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { post } from "./over-http.ts";
import { quantile } from "./statistics.ts";
import { withStack, type Log } from "./test-bed.ts";

const atOnce = 5;
const words = 20;

/** How long a model's words take to whoever follows the run, from when its provider has sent them. */
export async function measureTokens({ log, runs = 100 }: { log: Log; runs: number | undefined }): Promise<Figure[]> {
  const model = await startModelServer();
  // Each run asks with a word of its own, and gets numbered ones.
  const sentAt = new Map<string, number>();
  model.answerWith(({ body }) => {
    const own = String(body.messages.at(-1)!.content);
    const text = Array.from({ length: words }, (_, index) => `${own}-${index} `).join("");
    const onPiece = (piece: string): void => {
      for (const mark of marksIn(piece)) sentAt.set(mark, performance.now());
    };
    return { text, delayMs: 300, pauseMs: 20, onPiece };
  });
  try {
    return await withStack({ log, env: { OPENAI_BASE_URL: `${model.url}/v1` } }, async ({ apiUrl: url, apiKey }) => {
      const server = { url, apiKey };
      const step = { id: "say", type: "llm", model: "openai/bench", prompt: "${input.own}", stream: true };
      await post(server, "/api/v2/workflows", { name: "bench-tokens", version: "1.0.0", steps: [step] });
      const took = new Map<string, number>();
      log(`tokens: ${runs} runs`);
      for (let done = -atOnce; done < runs; done += atOnce) {
        if (done === 0) took.clear();
        await Promise.all(Array.from({ length: atOnce }, (_, each) => follow(server, `w${done + each + atOnce}`)));
      }
      const first = [...took].flatMap(([mark, ms]) => (mark.endsWith("-0") ? [ms] : []));
      const later = [...took].flatMap(([mark, ms]) => (mark.endsWith("-0") ? [] : [ms]));
      if (first.length !== runs) throw new Error(`${first.length} of ${runs} first words came.`);
      return [
        figure("tokens: the first word, p50", { value: quantile(first, 0.5), unit: "ms" }),
        figure("tokens: the first word, p95", { value: quantile(first, 0.95), unit: "ms", demand: 50 }),
        figure("tokens: later words, p95", { value: quantile(later, 0.95), unit: "ms" }),
      ];

      async function follow(server: Server, own: string): Promise<void> {
        const { id } = await post<RunAnswer>(server, "/api/v2/runs", { workflow: "bench-tokens", input: { own } });
        const headers = { authorization: `Bearer ${server.apiKey}`, accept: "text/event-stream" };
        const stream = await fetch(`${server.url}/api/v2/runs/${id}/events`, { headers });
        for await (const { event, data } of readStream(stream))
          if (event === "model.delta") for (const mark of marksIn(data)) took.set(mark, performance.now() - sentAt.get(mark)!);
      }
    });
  } finally {
    await model.close();
  }
}

const marksIn = (text: string): string[] => text.match(/w\d+-\d+(?= )/g) ?? [];
