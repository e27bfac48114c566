import type { Entry } from "./activities.ts";
import type { Json } from "./json.ts";

/** What expressions see of a step that has ended. */
export const viewOf = ({ output, status, error, usage }: Entry): Json => ({
  output,
  status,
  error: (error ?? null) as Json,
  usage: (usage ?? null) as unknown as Json,
});
