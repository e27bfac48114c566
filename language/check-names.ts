import type { Checking } from "./check-context.ts";
import type { Path } from "./finding.ts";

const rootNames = new Set(["input", "steps", "vars", "run", "env", "secrets"]);

/** A name that people give to an item, an index or an error. */
export function checkName(checking: Checking, name: string | undefined, path: Path): void {
  if (name !== undefined && rootNames.has(name))
    checking.add("wrong_value", path, `\`${name}\` has a meaning of its own in expressions; choose another name.`);
}
