import { parentPort } from "node:worker_threads";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { checkSchema, validateValue } from "../language/validate.ts";

// A thread of its own: what a stranger's schema costs, it costs here, until `isolated-schema.ts` ends it.
parentPort!.on("message", ({ schema, value }: { schema: JsonSchema; value: Json }) => {
  // Long patterns, older drafts: whoever sent the schema checks the value, too.
  parentPort!.postMessage(checkSchema(schema).length > 0 ? [] : validateValue(schema, value));
});

parentPort!.postMessage("ready");
