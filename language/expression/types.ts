/** Checking expressions against schemas when a definition is published. Nothing of this runs in a workflow. */
export { inferType, typeOfTemplate, type TypeScope } from "./infer.ts";
export { typeOfSchema } from "./schema-types.ts";
export * from "./type.ts";
