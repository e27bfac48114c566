/** Why a definition is refused. A closed list: clients may branch on it, docs and editors explain it. */
export const problemCodes = {
  syntax: "The text is not valid YAML or JSON.",
  duplicate_key: "The same key stands twice in one object.",
  alias: "YAML aliases are too many, expand too far, or refer to themselves.",
  tag: "YAML tags are not allowed; plain values only.",
  text: "A text holds characters that cannot be stored (NUL, half of a surrogate pair).",
  reserved_key: "A key is reserved for the platform.",
  too_large: "The definition, its plan, or one part of it is above its limit.",
  too_deep: "Values, steps or expressions are nested too deeply.",
  unknown_field: "The field does not exist here.",
  missing_field: "A required field is absent.",
  wrong_type: "The value has the wrong type.",
  wrong_value: "The value has the right type but is not allowed.",
  unknown_type: "There is no step of this type.",
  literal_required: "An expression stands where only a fixed value is allowed.",
  conflict: "Two fields contradict each other, or a field stands where it means nothing.",
  duplicate_id: "Two steps that can see each other have the same id.",
  duplicate_name: "Two cases, events or variables of one step have the same name.",
  unknown_need: "`needs` names a step that is not a sibling.",
  need_cycle: "Steps wait for each other in a circle.",
  expression_syntax: "The expression cannot be read.",
  unknown_name: "The expression uses a name that does not exist here.",
  step_not_ready: "The expression reads a step that cannot have run yet.",
  type_mismatch: "The expression's value has the wrong type.",
  duration: "The text is not a duration.",
  schema: "The JSON Schema itself is not valid or not allowed.",
  policy: "A step uses what the definition's own `policy` does not let pass.",
  not_available: "The feature belongs to the language but is not in this version yet.",
} as const;

export type ProblemCode = keyof typeof problemCodes;

export interface DefinitionProblem {
  code: ProblemCode;
  /** As the author sees it: `steps[0].cases[1].when`. Empty for the whole definition. */
  path: string;
  /** 1-based; absent when the definition did not come as text. */
  line?: number;
  column?: number;
  /** One sentence: what is wrong and what to do. */
  message: string;
}

export type DefinitionFormat = "json" | "yaml";
