import { parentPort } from "node:worker_threads";
import { findSpans } from "../language/expression/pattern-spans.ts";
import { checkSchema, validateValue } from "../language/validate.ts";
import type { Isolated } from "./isolated-schema.ts";

// A thread of its own: what a stranger's schema or a long text costs, it costs here, until `isolated-schema.ts` ends it.
parentPort!.on("message", (work: Isolated) => {
  // Long patterns, older drafts: whoever sent the schema checks the value, too.
  const done =
    "pattern" in work
      ? findSpans(work.text, work.pattern)
      : checkSchema(work.schema).length > 0
        ? []
        : validateValue(work.schema, work.value);
  parentPort!.postMessage(done);
});

parentPort!.postMessage("ready");
