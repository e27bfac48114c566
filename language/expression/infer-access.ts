import type { Expression } from "../plan.ts";
import type { Inference } from "./infer.ts";
import { render } from "./render.ts";
import { suggestion } from "./suggest.ts";
import { anyType, fieldOf, isAny, membersOf, nameOf, nullType, unionOf, type ObjectType, type Type } from "./type.ts";

/** The type of `target.key`. Null among several types passes: the member is then read from the others. */
export function memberType(target: Type, key: string, expression: Expression, inference: Inference): Type {
  if (target.kind === "optional") return { kind: "optional", of: memberType(target.of, key, expression, inference) };
  const members = membersOf(target);
  if (members.some(isAny)) return anyType;
  const objects = members.filter((member) => member.kind === "object");
  const found = objects.map((member) => fieldOf(member, key) ?? (member.open ? anyType : undefined)).filter((type) => type !== undefined);
  if (found.length > 0) return unionOf(found);
  inference.report(objects.length > 0 ? unknownMember(objects, key, expression) : noMembers(target, key, expression));
  return anyType;
}

function unknownMember(objects: ObjectType[], key: string, expression: Expression): string {
  const known = [...new Set(objects.flatMap((member) => Object.keys(member.fields)))];
  const shown = known.length === 0 ? "it has no members" : `it has ${known.slice(0, 12).join(", ")}${known.length > 12 ? ", …" : ""}`;
  return `\`${render(expression)}\` has no \`${key}\`; ${shown}.${suggestion(key, known)} Correct the name, or add it to the schema.`;
}

const noMembers = (target: Type, key: string, expression: Expression): string =>
  `\`${render(["get", expression, key])}\` cannot be read, because \`${render(expression)}\` is ${nameOf(target)}; only maps have members.`;

interface Element {
  target: Type;
  index: Type;
  /** The whole access. */
  expression: Extract<Expression, ["get" | "has" | "at" | "optional", ...unknown[]]>;
}

/** The type of `target[index]` for an index that is computed. */
export function elementType({ target, index, expression }: Element, inference: Inference): Type {
  if (target.kind === "optional") return { kind: "optional", of: elementType({ target: target.of, index, expression }, inference) };
  const found = membersOf(target).flatMap((member) => membersOf(index).flatMap((key) => elementOf(member, key)));
  if (found.length > 0) return unionOf(found);
  const [text, source] = [render(expression), render(expression[1])];
  inference.report(
    `\`${text}\` cannot be read: \`${source}\` is ${nameOf(target)} and the index is ${nameOf(index)}; lists take numbers, maps take strings.`,
  );
  return anyType;
}

function elementOf(target: Type, index: Type): Type[] {
  const [isNumber, isText] = [index.kind === "number" || isAny(index), index.kind === "string" || isAny(index)];
  if (isAny(target)) return isNumber || isText ? [anyType] : [];
  if (target.kind === "list") return isNumber ? [target.items] : [];
  if (target.kind !== "object" || !isText) return [];
  const fields = Object.values(target.fields);
  return [target.open ? anyType : fields.length === 0 ? nullType : unionOf(fields)];
}
