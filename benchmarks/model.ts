import { startModelServer } from "../tests/servers/model-server.ts";
import { against, measured, type Figure } from "./figure.ts";
import { inTurn, measureRound, type Sample } from "./measure.ts";
import { modesOf, walked, type Mode } from "./modes.ts";
import { withTestBed, type Log } from "./test-bed.ts";
import { workloads } from "./workloads.ts";

/** More than the run needs: each call locks the row, reserves and settles. */
const budget = { tokens: 10_000_000, usd: 100 };

/**
 * What the platform adds to a call of a model: what is set aside for it in its run's budget, its row before and after it, the price, what it is
 * settled with, the record, the SDK. Twelve `llm` steps in a row, whose model answers at once, beside twelve hand-written activities that do nothing.
 */
export async function measureModel({ rounds, log }: { rounds: number; log: Log }): Promise<Figure[]> {
  const model = await startModelServer();
  model.answerWith(() => ({ text: "ok" }));
  try {
    // A dollar for a million tokens in, two out: without a price a budget in dollars lets nothing through.
    const env = { OPENAI_BASE_URL: `${model.url}/v1`, TENUTO_MODEL_PRICES: "openai/bench=1/2" };
    const needs = { log, only: ["temporal", "postgres", "redis", "worker"] as const, env };
    return await withTestBed({ ...needs, only: [...needs.only] }, async (bed) => {
      const theirs = modesOf(workloads.W1, bed.client).find(({ name }) => name === "hand-written")!;
      const steps = workloads.W1.stepsOf({ type: "llm", model: "openai/bench", prompt: "Hi" });
      const definition = { name: "bench-model", version: "1.0.0", budget, steps };
      const ours: Mode = { ...theirs, name: "tool", title: "llm", workers: ["ours"], ...walked(definition, bed.client) };
      const samples: Record<"ours" | "theirs", Sample[]> = { ours: [], theirs: [] };
      for (let round = 0; round <= rounds; round++) {
        log(`model: ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}`);
        const found = await measureRound(workloads.W1, inTurn([theirs, ours], round), bed);
        if (round === 0) continue;
        samples.theirs.push(found.get(theirs.name)!);
        samples.ours.push(found.get(ours.name)!);
      }
      return measured.flatMap(({ key, title, unit }) => {
        const [values, others] = [samples.ours, samples.theirs].map((of) => of.map((sample) => sample[key]));
        if (![...values!, ...others!].every((value) => value !== undefined)) return [];
        const load = samples.ours.at(-1)!.load;
        return [{ ...against({ name: `model: ${title}`, unit, values: values as number[], others: others as number[] }), load }];
      });
    });
  } finally {
    await model.close();
  }
}
