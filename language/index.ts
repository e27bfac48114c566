/** The definition language: read, check and compile definitions; validate values. Not for workflows. */
export { readDefinition, readDefinitionValue, type ReadOptions, type ReadResult } from "./read.ts";
export { checkSchema, validateValue, type Mismatch } from "./validate.ts";
export { languageJsonSchema } from "./json-schema.ts";
export type { Plan } from "./plan.ts";
export type { Definition } from "../contracts/definition.schema.ts";
export type { DefinitionFormat, DefinitionProblem, ProblemCode } from "../contracts/definition.ts";
