import { z } from "zod";

/** A date and time that every store of ours can take: Postgres has no year 0, Temporal none after 9,999. */
export const instant = z.iso
  .datetime({ offset: true })
  .refine((text) => Date.parse(text) >= 0 && Date.parse(text) < Date.UTC(9_999, 0), "The time is out of range: 1970 to 9998.");
