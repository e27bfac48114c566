import type { Checking } from "./check-context.ts";
import { fieldOf, isAny, membersOf, nameOf, type ObjectType, type Type } from "./expression/types.ts";
import type { Path } from "./finding.ts";

/** Report a value that can never fit the schema it must fit. What may fit is left to the run. */
export function checkFit(checking: Checking, { type, wanted, path, what = "outputSchema" }: Fit): void {
  const misfit = misfitOf(type, wanted, []);
  if (!misfit) return;
  const where = misfit.at.length === 0 ? "This" : `\`${misfit.at.join(".")}\``;
  checking.add("type_mismatch", path, `${where} ${misfit.reason}, so that it never fits \`${what}\`.`);
}

interface Fit {
  type: Type;
  wanted: Type;
  path: Path;
  /** The field that holds the schema. */
  what?: string;
}

interface Misfit {
  at: string[];
  reason: string;
}

function misfitOf(type: Type, wanted: Type, at: string[]): Misfit | undefined {
  if (type.kind === "optional") return misfitOf(type.of, wanted, at);
  if (isAny(type) || isAny(wanted)) return undefined;
  const misfits = membersOf(type).map((member) => {
    const each = membersOf(wanted).map((want) => memberMisfit(member, want, at));
    return each.includes(undefined)
      ? undefined
      : (each.find((misfit) => misfit && misfit.at.length > at.length) ?? {
          at,
          reason: `is ${nameOf(type)} and must be ${nameOf(wanted)}`,
        });
  });
  return misfits.includes(undefined) ? undefined : misfits[0];
}

function memberMisfit(type: Type, wanted: Type, at: string[]): Misfit | undefined {
  if (isAny(type) || isAny(wanted)) return undefined;
  if (type.kind === "optional" || type.kind === "union") return misfitOf(type, wanted, at);
  if (type.kind === "list" && wanted.kind === "list") return misfitOf(type.items, wanted.items, [...at, "items"]);
  if (type.kind === "object" && wanted.kind === "object") return objectMisfit(type, wanted, at);
  return type.kind === wanted.kind ? undefined : { at, reason: `is ${nameOf(type)} and must be ${nameOf(wanted)}` };
}

function objectMisfit(type: ObjectType, wanted: ObjectType, at: string[]): Misfit | undefined {
  const missing = type.open ? undefined : wanted.required.find((key) => fieldOf(type, key) === undefined);
  if (missing !== undefined) return { at: [...at, missing], reason: "is missing" };
  for (const [key, want] of Object.entries(wanted.fields)) {
    const misfit = misfitOf(fieldOf(type, key) ?? { kind: "any" }, want, [...at, key]);
    if (misfit) return misfit;
  }
  return undefined;
}
