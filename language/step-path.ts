import { nearest } from "../contracts/nearest.ts";
import { blocksOf, findStep } from "./plan-steps.ts";
import type { Block, Plan } from "./plan.ts";

/** Everything a path stands in, outermost first: `a`, `a[3]` for `a[3].c`; not the path itself. */
export function prefixesOf(path: string): string[] {
  const prefixes: string[] = [];
  for (let at = 1; at < path.length; at += 1) if (".[/".includes(path[at]!)) prefixes.push(path.slice(0, at));
  return prefixes;
}

/** Whether a path names a step, or an item, iteration, case or branch, of the Plan. */
export function isPlace(plan: Plan, path: string): boolean {
  if (findStep(plan, path)) return true;
  const around = findStep(plan, prefixesOf(path).at(-1) ?? "");
  const last = path.endsWith("]") ? "[]" : path.slice(path.lastIndexOf(".") + 1);
  return around !== undefined && blocksOf(around).some(({ slot }) => slot === last);
}

/** The path that was probably meant, with the indexes that were given. */
export function nearestPath(plan: Plan, path: string): string | undefined {
  const steps = pathsOf(plan.body, "");
  const id = path.split(".").at(-1)!;
  // Either a slip of the finger, or the right step without what stands around it.
  const meant = nearest(path.replace(/\[\d+\]/g, "[]"), steps) ?? steps.find((place) => place.endsWith(`.${id}`));
  const indexes = path.match(/\[\d+\]/g) ?? [];
  return meant?.replaceAll("[]", () => indexes.shift() ?? "[0]");
}

function pathsOf(block: Block, slot: string): string[] {
  return block.steps.flatMap((step) => {
    const path = slot === "" ? step.id : `${slot}.${step.id}`;
    const inner = blocksOf(step).flatMap(({ slot: name, block: body }) =>
      pathsOf(body, name === "" || name === "[]" ? `${path}${name}` : `${path}.${name}`),
    );
    return [path, ...inner];
  });
}
