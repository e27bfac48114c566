import { limits } from "../contracts/limits.ts";
import type { Offer } from "../prisma/mcp.ts";

/** What servers have offered to this worker's runs, for a while: the last that were asked for. */
export class HeardOffers {
  readonly #offers = new Map<string, { offer: Offer; until: number }>();

  get(key: string): Offer | undefined {
    const heard = this.#offers.get(key);
    return heard && heard.until > Date.now() ? heard.offer : undefined;
  }

  set(key: string, offer: Offer): void {
    this.#offers.delete(key);
    this.#offers.set(key, { offer, until: Date.now() + limits.mcpOfferKeepMs });
    // A map keeps the order in which it was filled.
    for (const oldest of this.#offers.keys()) {
      if (this.#offers.size <= limits.mcpOffersMax) return;
      this.#offers.delete(oldest);
    }
  }
}
