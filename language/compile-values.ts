import type { Definition, StepOf } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import type { Manner } from "../contracts/model-calls.ts";
import { parseCondition, parseTemplate } from "./expression/parse.ts";
import type { Expression, Template } from "./plan.ts";

export const templateOf = (value: Json): Template => parseTemplate(value);

export const conditionOf = (value: string | boolean): Expression => (typeof value === "boolean" ? ["lit", value] : parseCondition(value));

/** An absent value becomes no member at all: the Plan must be the same text however the definition was written. */
export const optional = <Name extends string>(name: Name, value: Json | undefined): { [Key in Name]?: Template } =>
  (value === undefined ? {} : { [name]: templateOf(value) }) as { [Key in Name]?: Template };

export const entriesOf = (values: Record<string, Json> = {}): [name: string, value: Template][] =>
  Object.entries(values).map(([name, value]) => [name, templateOf(value)]);

export const modelsOf = ({ model, fallbacks = [] }: StepOf<"llm">, defaults: NonNullable<Definition["defaults"]>): Template[] =>
  [model ?? defaults.model ?? "default", ...fallbacks].map(templateOf);

/** How a model is to answer; no member at all when nothing is said of it. */
export function mannerOf({ reasoning, maxOutputTokens }: StepOf<"llm" | "agent">): { manner?: Manner } {
  const manner = {
    ...(reasoning === undefined ? {} : { reasoning }),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
  };
  return Object.keys(manner).length === 0 ? {} : { manner };
}

export const conversationOf = ({ messages, prompt = "" }: StepOf<"llm">) =>
  (messages ?? [{ role: "user" as const, content: prompt }]).map(({ role, content }) => ({ role, content: templateOf(content) }));
