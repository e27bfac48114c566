import { createModelFetch } from "../../activities/model-fetch.ts";
import { createOpenAi } from "../../activities/model-openai.ts";
import type { Model } from "../../activities/model-port.ts";

/** OpenAI itself, as far as whoever asks it knows: what goes to its address is answered at another. */
export function asOpenAi(url: string, apiKey: string): Model {
  const modelFetch = createModelFetch();
  const moved = (asked: string | URL): string => String(asked).replace("https://api.openai.com", url);
  return createOpenAi({ apiKey, fetch: (input, init) => modelFetch(moved(input instanceof Request ? input.url : input), init) });
}
