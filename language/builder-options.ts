import { z } from "zod";
import { isObject, type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import { meaningOf, refuse, type Ref } from "./builder-refs.ts";
import { present, type Recorder, type Scope } from "./builder-scope.ts";
import type { Catch, Handler } from "./builder-fields.ts";

type Given = Readonly<Record<string, unknown>>;

/** zod → JSON Schema 2020-12. `io` says which side of a transform or default the data stands on. */
export function jsonSchemaOf(schema: unknown, io: "input" | "output" = "output"): JsonSchema | undefined {
  if (schema === undefined) return undefined;
  if (!(schema instanceof z.ZodType)) return isObject(schema) ? schema : refuse("A schema is a zod type or a JSON Schema object.");
  const { $schema: _, ...plain } = z.toJSONSchema(schema, { io, target: "draft-2020-12" });
  return plain as JsonSchema;
}

/** Without the members that are absent. */
export const compact = (fields: Given): JsonObject => Object.fromEntries(present(fields)) as JsonObject;

/** What authors give as the last argument, as fields of the step. Whatever is not named here is a field by the same name. */
export function optionFields(recorder: Recorder, options: Given): JsonObject {
  // For people and their tools: no expression stands in these, so that nothing needs to be escaped.
  const { description, metadata, output, outputSchema, needs, export: exported, catch: handlers, retry, compensate, ...rest } = options;
  return compact({
    description,
    ...recorder.fields(rest),
    needs: (needs as unknown[] | undefined)?.map((step) => recorder.siblingId(step)),
    outputSchema: jsonSchemaOf(output ?? outputSchema),
    export: exported && mapValues(exported as Given, (value) => whenEnded(recorder, value)),
    retry: retry && compact(mapValues(retry as Given, (value) => whenEnded(recorder, value))),
    catch: handlers && handlerFields(recorder, handlers as Catch),
    compensate: compensate && recorder.steps((scope) => called(compensate, scope.ref("output")), "`compensate`", ["output"]),
    metadata,
  });
}

/** Values that are read when the step has ended: a function is given its output. */
const whenEnded = (recorder: Recorder, value: unknown): Json | undefined =>
  value === undefined ? undefined : recorder.seeing(["output"], (scope) => recorder.render(called(value, scope.ref("output"))));

// References are functions too, as far as `typeof` can tell; only those without a meaning are the author's.
const called = (value: unknown, output: Ref<never>): unknown =>
  typeof value === "function" && !meaningOf(value) ? (value as (output: Ref<never>) => unknown)(output) : value;

export function handlerFields(recorder: Recorder, handlers: Catch): Json[] {
  const list: readonly Handler[] =
    typeof handlers === "function" ? [{ steps: handlers }] : Array.isArray(handlers) ? handlers : [handlers as Handler];
  return list.map((handler) => {
    const name = handler.as ?? recorder.freeName("error");
    const { when } = handler;
    return compact({
      errors: handler.errors,
      when: when && recorder.seeing([name], (scope) => recorder.render(when(scope.ref(name)))),
      as: name === "error" ? undefined : name,
      ...recorder.block([name], (scope: Scope) => handler.steps(scope.ref(name))),
    });
  });
}

const mapValues = (fields: Given, change: (value: unknown) => Json | undefined): Given =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, change(value)]));
