import { parentPort } from "node:worker_threads";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { validateValue } from "../language/validate.ts";

// A thread of its own: what a stranger's schema costs, it costs here, until `isolated-schema.ts` ends it.
parentPort!.on("message", ({ schema, value }: { schema: JsonSchema; value: Json }) => {
  parentPort!.postMessage(validateValue(schema, value));
});

parentPort!.postMessage("ready");
