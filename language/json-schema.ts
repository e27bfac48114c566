import { z } from "zod";
import { definitionSchema } from "../contracts/definition.schema.ts";
import type { JsonSchema } from "../contracts/json.ts";

/** JSON Schema of the definition language, for editors: `docs/workflow.schema.json` is this, generated. */
export function languageJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(definitionSchema, { target: "draft-2020-12", unrepresentable: "any" });
  return {
    $schema: String($schema),
    $id: "https://tenuto.dev/workflow.schema.json",
    title: "Tenuto workflow definition",
    // A cast: what zod gives is plain data, typed as its own interface.
    ...(JSON.parse(JSON.stringify(schema)) as JsonSchema),
  };
}
