import { isObject, type Json, type JsonSchema } from "../contracts/json.ts";
import { validateValue } from "../language/validate.ts";
import type { Message } from "./model-port.ts";

export interface AnswerProblem {
  /** JSON Pointer into the answer. */
  pointer: string;
  message: string;
}

export interface AnswerCheck {
  value: Json;
  problems: AnswerProblem[];
}

interface Envelope {
  schema: JsonSchema;
  unwrap(answer: Json): Json;
  wrap(answer: Json): Json;
}

/** Providers accept only object schemas: any other becomes the member `value` of one. */
export function objectSchema(schema: JsonSchema): Envelope {
  if (schema["type"] === "object") return { schema, unwrap: (answer) => answer, wrap: (answer) => answer };
  const { $defs, definitions, $schema: _, ...inner } = schema;
  const wrapped: JsonSchema = {
    type: "object",
    properties: { value: inner },
    required: ["value"],
    additionalProperties: false,
    // References point at the root, so their targets must stand there.
    ...($defs === undefined ? {} : { $defs }),
    ...(definitions === undefined ? {} : { definitions }),
  };
  return {
    schema: wrapped,
    unwrap: (answer) => (isObject(answer) ? (answer["value"] ?? null) : null),
    wrap: (value) => ({ value }),
  };
}

export function checkAnswer(text: string, schema: JsonSchema): AnswerCheck {
  try {
    const value = JSON.parse(withoutFence(text)) as Json;
    return { value, problems: validateValue(schema, value) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { value: null, problems: [{ pointer: "", message: `is not JSON: ${error.message}` }] };
  }
}

/** Show the model its own answer and what is wrong with it. Only the newest answer: the conversation must not grow with each round. */
export function repairMessages(messages: Message[], answer: string, schema: JsonSchema): Message[] {
  const list = checkAnswer(answer, schema)
    .problems.slice(0, 20)
    .map(({ pointer, message }) => `- ${pointer || "/"}: ${message}`);
  const demand = [
    "Your answer does not fit the schema:",
    ...list,
    "Answer again with the whole corrected JSON value and nothing else. Schema:",
    JSON.stringify(schema),
  ];
  return [...messages, { role: "assistant", content: answer }, { role: "user", content: demand.join("\n") }];
}

/** Show the model what it said and what was wrong with that, as a rule sees it. */
export const refusedMessages = (messages: Message[], said: string, why: string): Message[] => [
  ...messages,
  { role: "assistant", content: said },
  { role: "user", content: `${why}\nThis was not passed on. Answer again, so that it keeps to the rule.` },
];

/** Small models put JSON into a code fence although told not to. */
function withoutFence(text: string): string {
  const trimmed = text.trim();
  if (!trimmed.startsWith("```")) return text;
  const [start, end] = [trimmed.indexOf("\n"), trimmed.lastIndexOf("```")];
  return start < 0 || end < start ? text : trimmed.slice(start, end);
}
