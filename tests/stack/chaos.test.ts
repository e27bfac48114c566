import { describe, expect, test } from "@jest/globals";
import type { CampaignName } from "../chaos/campaigns.ts";
import { host } from "./client.ts";

// What is killed here is found by its process on Linux only.
const onLinux = process.platform === "linux" ? describe : describe.skip;

/** Seeds of `npm run chaos`, which has more of them. */
const seeds: [CampaignName, number[]][] = [
  ["worker-kill-before", [1, 2]],
  ["worker-kill-during", [1, 2]],
  ["worker-kill-after", [1]],
  ["effect-kill", [1, 2, 3]],
  ["api-kill", [1, 2, 3, 4]],
  ["rolling", [1, 2]],
  ["temporal-away", [1, 2]],
  ["postgres-away", [1, 2]],
  ["redis-away", [1]],
  ["redis-flush", [1]],
  ["cancel", [1]],
  ["terminate", [1]],
  ["poison", [1, 2]],
];

onLinux("a seeded fault leaves nothing lost, doubled or open", () => {
  const trials = seeds.flatMap(([fault, all]) => all.map((seed) => [fault, seed] as const));

  test.each(trials)(
    "%s, seed %i",
    async (fault, seed) => {
      // As much patience as a loaded machine needs: what is checked is what came of it, not how fast.
      const { broken } = await host.chaos(fault, { seed, awayMs: 2_000, patience: 1.5 });
      expect(broken).toEqual([]);
    },
    240_000,
  );
});
