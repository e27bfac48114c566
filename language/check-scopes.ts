import type { StepOf } from "../contracts/definition.schema.ts";
import { limits } from "../contracts/limits.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import { checkName } from "./check-names.ts";
import { anyType, listOf, membersOf, nullType, numberType, objectOf, stringType, unionOf, type Type } from "./expression/types.ts";

type ScopeStep = StepOf<"sequence" | "switch" | "parallel" | "foreach" | "loop" | "try">;

/** Steps that hold steps: gives the type of their output. A new one is one case here. */
export function checkScopeFields(checking: Checking, place: StepPlace<ScopeStep>): Type {
  const { step, path, scope } = place;
  switch (step.type) {
    case "sequence":
      return checking.block(ownBlock(step, path), scope.inside({}));
    case "try":
      return checkTry(checking, { ...place, step });
    case "switch":
      return checkSwitch(checking, { ...place, step });
    case "parallel":
      return checkParallel(checking, { ...place, step });
    case "foreach":
      return checkForeach(checking, { ...place, step });
    case "loop":
      return checkLoop(checking, { ...place, step });
    default:
      return step satisfies never;
  }
}

const ownBlock = (step: StepOf<"sequence" | "try" | "foreach" | "loop">, path: StepPlace["path"]) => ({
  steps: step.steps,
  path: [...path, "steps"],
  output: step.output,
  outputPath: [...path, "output"],
});

function checkTry(checking: Checking, { step, path, scope }: StepPlace<StepOf<"try">>): Type {
  if (step.undo && !step.catch?.length && !checking.damage.isBroken(path))
    checking.addAtKey(
      "conflict",
      [...path, "undo"],
      "`undo` undoes what was done inside when the `try` catches an error, and this one has no `catch`; add it.",
    );
  const type = checking.block(ownBlock(step, path), scope.inside({}));
  if (step.finally) checking.block({ steps: step.finally, path: [...path, "finally"] }, scope.inside({ pathLength: "finally.".length }));
  return type;
}

const reservedSlots = /^(default|catch\d+|finally|compensate)$/;

function checkSwitch(checking: Checking, { step, path, scope }: StepPlace<StepOf<"switch">>): Type {
  const seen = new Set<string>();
  const types = step.cases.map((each, index) => {
    const at = [...path, "cases", index];
    const name = each.name ?? `case${index}`;
    if (seen.has(name))
      checking.add(
        "duplicate_name",
        each.name === undefined ? at : [...at, "name"],
        `Two cases are called \`${name}\`; give one of them another name.`,
      );
    if (reservedSlots.test(name))
      checking.add("wrong_value", [...at, "name"], `The name \`${name}\` is a part of step paths; choose another.`);
    seen.add(name);
    checking.condition(each.when, [...at, "when"], scope);
    return checking.block(
      { steps: each.steps, path: [...at, "steps"], output: each.output, outputPath: [...at, "output"] },
      scope.inside({ pathLength: name.length + 1 }),
    );
  });
  const otherwise = step.default
    ? checking.block({ steps: step.default, path: [...path, "default"] }, scope.inside({ pathLength: "default.".length }))
    : nullType;
  return unionOf([...types, otherwise]);
}

function checkParallel(checking: Checking, { step, path, scope }: StepPlace<StepOf<"parallel">>): Type {
  const branches = Object.entries(step.branches);
  if (branches.length === 0 && !checking.damage.isBroken(path))
    checking.add("wrong_value", [...path, "branches"], "A `parallel` step needs at least one branch.");
  checkJoin(checking, { step, path, scope }, branches.length);
  const types = branches.map(([name, steps]): [string, Type] => {
    const at = [...path, "branches", name];
    if (reservedSlots.test(name)) checking.addAtKey("wrong_value", at, `The name \`${name}\` is a part of step paths; choose another.`);
    const type = checking.block({ steps, path: at }, scope.inside({ pathLength: name.length + 1 }));
    return [name, type];
  });
  checkUntil(checking, { step, path, scope }, unionOf(types.map(([, type]) => type)));
  return objectOf(types.map(([name, type]) => [name, unionOf([type, ...lostTypes(step)])]));
}

/** The longest index, in brackets. */
const indexLength = "[49999].".length - 1;

function checkForeach(checking: Checking, { step, path, scope }: StepPlace<StepOf<"foreach">>): Type {
  const items = checking.wanted(step.items, [...path, "items"], scope, { type: listOf(anyType), what: "a list" });
  checkJoin(checking, { step, path, scope }, Array.isArray(step.items) ? step.items.length : undefined);
  checkItems(checking, { step, path, scope });
  const [as, index] = [step.as ?? "item", step.index ?? "index"];
  checkName(checking, step.as, [...path, "as"]);
  checkName(checking, step.index, [...path, "index"]);
  if (as === index)
    checking.add(
      "duplicate_name",
      [...path, step.index === undefined ? "as" : "index"],
      "The item and its index have the same name; give one of them another.",
    );
  const names = { [as]: itemOf(items), [index]: numberType };
  const output = checking.block(ownBlock(step, path), scope.inside({ names, pathLength: indexLength }));
  if (step.key !== undefined) checking.expression(step.key, [...path, "key"], scope.with({ names: { ...names, output } }), stringType);
  const collected = step.onItemError === "collect" ? [objectOf([["error", anyType]])] : [];
  checkUntil(checking, { step, path, scope }, output);
  const each = unionOf([output, ...collected, ...lostTypes(step)]);
  return step.key === undefined ? listOf(each) : { kind: "object", fields: {}, required: [], open: true };
}

/** As many as it would refuse when it runs. Windows know nothing of each other: what looks at single items cannot be had over them. */
function checkItems(checking: Checking, { step, path }: StepPlace<StepOf<"foreach">>): void {
  const { items, join = "all", until, rest, isolate } = step;
  if (!Array.isArray(items)) return;
  const isJoinedInOne = join !== "all" || until !== undefined || rest === "finish";
  const itemsMax = !isJoinedInOne ? limits.foreachItemsMax : isolate ? limits.windowItems : limits.foreachJoinMax;
  if (items.length <= itemsMax) return;
  const way = isJoinedInOne ? "use `join: all` without `until` and `rest`, or split the list" : "split the list";
  checking.add("wrong_value", [...path, "items"], `There are ${items.length} items, and at most ${itemsMax} are allowed here; ${way}.`);
}

function itemOf(items: Type): Type {
  const lists = membersOf(items).filter((member) => member.kind === "list");
  return lists.length === 0 ? anyType : unionOf(lists.map((list) => list.items));
}

type JoinStep = StepOf<"parallel" | "foreach">;

/** What stands for those that the join left behind. */
const lostTypes = ({ join = "all", until }: JoinStep): Type[] => (join === "all" && until === undefined ? [] : [nullType]);

function checkUntil(checking: Checking, { step, path, scope }: StepPlace<JoinStep>, output: Type): void {
  checking.condition(step.until, [...path, "until"], scope.with({ names: { done: listOf(output) } }));
  if (step.rest !== undefined && (step.join ?? "all") === "all" && step.until === undefined && !checking.damage.isBroken(path))
    checking.addAtKey(
      "conflict",
      [...path, "rest"],
      "`join: all` waits for every one, so that there is no rest; add `until`, another `join`, or remove `rest`.",
    );
}

function checkJoin(checking: Checking, { step, path }: StepPlace<JoinStep>, size: number | undefined): void {
  const { join, quorum } = step;
  if (join === "quorum" && quorum === undefined && !checking.damage.isBroken(path))
    checking.add("missing_field", [...path, "join"], "`join: quorum` needs `quorum`: how many must succeed.");
  if (quorum === undefined) return;
  if (join !== "quorum" && !checking.damage.isBroken(path))
    checking.addAtKey("conflict", [...path, "quorum"], "`quorum` stands only with `join: quorum`; add that, or remove `quorum`.");
  if (size !== undefined && quorum > size)
    checking.add("wrong_value", [...path, "quorum"], `\`quorum\` is ${quorum}, but there are only ${size} that can succeed.`);
}

function checkLoop(checking: Checking, { step, path, scope }: StepPlace<StepOf<"loop">>): Type {
  const index = step.index ?? "index";
  checkName(checking, step.index, [...path, "index"]);
  if (index === "last")
    checking.add("wrong_value", [...path, "index"], "`last` is the output of the iteration before; choose another name.");
  if (step.while === undefined && step.until === undefined && step.onLimit !== "end" && !checking.damage.isBroken(path))
    checking.add(
      "missing_field",
      path,
      "A loop without `while` and `until` always ends with the error `loop_limit`; add one of them, or `onLimit: end`.",
    );
  const inner = scope.inside({ names: { [index]: numberType, last: anyType }, pathLength: indexLength });
  checking.condition(step.while, [...path, "while"], inner);
  const type = checking.block(
    { ...ownBlock(step, path), atEnd: (seen) => checking.condition(step.until, [...path, "until"], seen) },
    inner,
  );
  return step.while === undefined ? type : unionOf([type, nullType]);
}
