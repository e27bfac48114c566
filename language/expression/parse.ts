/** Reading expressions when a definition is published. Nothing of this runs in a workflow. */
export { parseExpression } from "./cel.ts";
export { ExpressionSyntaxError } from "./syntax.ts";
export { parseCondition, parseTemplate, partsOf as parseTextParts, type Report } from "./template.ts";
