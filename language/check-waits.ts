import type { StepOf } from "../contracts/definition.schema.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import type { Scope } from "./check-scope.ts";
import { anyType, booleanType, listOf, nullType, numberType, objectOf, stringType, unionOf, type Type } from "./expression/types.ts";
import { momentOf } from "./expression/numbers.ts";
import { isReachable } from "./expression/values.ts";
import type { Path } from "./finding.ts";
import { checkName } from "./check-names.ts";
import { limits } from "../contracts/limits.ts";

const text = { type: stringType, what: "a text" };

/** Exactly one of some fields. */
function checkOneOf(checking: Checking, { step, path }: StepPlace, fields: string[]): void {
  const present = fields.filter((field) => (step as unknown as Record<string, unknown>)[field] !== undefined);
  const names = fields.map((field) => `\`${field}\``).join(", ");
  if (present.length === 0 && !checking.damage.isBroken(path))
    checking.add("missing_field", path, `A \`${step.type}\` step needs one of ${names}.`);
  for (const field of present.slice(1))
    checking.addAtKey("conflict", [...path, field], `Only one of ${names} may stand here; remove the others.`);
}

export function checkWait(checking: Checking, place: StepPlace<StepOf<"wait">>): Type {
  const { step, path, scope } = place;
  checkOneOf(checking, place, ["duration", "until"]);
  checking.duration(step.duration, [...path, "duration"], scope);
  checking.wanted(step.until, [...path, "until"], scope, { type: unionOf([stringType, numberType]), what: "a date and time" });
  if (step.until !== undefined && !step.until.includes("${") && Number.isNaN(momentOf(step.until)))
    checking.add(
      "wrong_value",
      [...path, "until"],
      `${JSON.stringify(step.until)} is not a date and time with a zone; write it as 2026-01-31T09:00:00Z.`,
    );
  return nullType;
}

type Listened = NonNullable<StepOf<"listen">["one"]>;

export function checkListen(checking: Checking, place: StepPlace<StepOf<"listen">>): Type {
  const { step, path, scope } = place;
  checkOneOf(checking, place, ["one", "any", "all"]);
  checking.duration(step.timeout, [...path, "timeout"], scope);
  if (step.onTimeout && step.timeout === undefined && !checking.damage.isBroken(path))
    checking.addAtKey("conflict", [...path, "onTimeout"], "`onTimeout` without `timeout` never runs; add `timeout`.");
  const late = step.onTimeout
    ? [checking.block({ steps: step.onTimeout, path: [...path, "onTimeout"] }, scope.inside({ pathLength: "onTimeout.".length }))]
    : [];
  const field = step.one ? "one" : step.any ? "any" : "all";
  const events = step.one ? [step.one] : (step.any ?? step.all ?? []);
  const types = events.map((event, index) => checkEvent(checking, event, [...path, field, ...(step.one ? [] : [index])], scope));
  checkStream(checking, place, unionOf(types));
  if (step.foreach) return anyType;
  if (field !== "all") return unionOf([...types, ...late]);
  checkEventNames(checking, events, [...path, "all"]);
  return unionOf([objectOf(events.map((event, index) => [event.as ?? event.event, types[index]!])), ...late]);
}

/** `foreach` and `until`: one event after the other. */
function checkStream(checking: Checking, { step, path, scope }: StepPlace<StepOf<"listen">>, event: Type): void {
  const { foreach, until } = step;
  const last = foreach ? checkHandling(checking, { step, path: [...path, "foreach"], scope }, event) : anyType;
  checking.condition(until, [...path, "until"], scope.with({ names: { event, last } }));
  if (!foreach && until !== undefined && !checking.damage.isBroken(path))
    checking.addAtKey("conflict", [...path, "until"], "`until` ends a stream of events; add `foreach` with what to do about each.");
}

function checkHandling(checking: Checking, { step, path, scope }: StepPlace<StepOf<"listen">>, event: Type): Type {
  const { as = "event", steps, output } = step.foreach!;
  const isEnding = step.until !== undefined || step.timeout !== undefined || step.background === true;
  if (step.all) checking.addAtKey("conflict", path, "A stream takes its events one by one; write `any` instead of `all`.");
  if (!isEnding && !checking.damage.isBroken(path.slice(0, -1)))
    checking.addAtKey("missing_field", path, "Nothing ends this stream of events; add `until`, `timeout`, or `background: true`.");
  checkName(checking, as, [...path, "as"]);
  return checking.block(
    { steps, path: [...path, "steps"], output, outputPath: [...path, "output"] },
    scope.inside({ names: { [as]: event }, pathLength: longestIndex.length }),
  );
}

// Event ids are remembered, so that no stream has more.
const longestIndex = `[${limits.seenEventIdsMax}]`;

function checkEvent(checking: Checking, listened: Listened, path: Path, scope: Scope): Type {
  checking.wanted(listened.event, [...path, "event"], scope, text);
  const type = objectOf([
    ["event", stringType],
    ["data", checking.schema(listened.schema, [...path, "schema"])],
    ["id", stringType],
    ["at", stringType],
  ]);
  checking.condition(listened.when, [...path, "when"], scope.with({ names: { event: type } }));
  return type;
}

function checkEventNames(checking: Checking, events: Listened[], path: Path): void {
  const seen = new Set<string>();
  for (const [index, { event, as }] of events.entries()) {
    const name = as ?? event;
    if (as === undefined && event.includes("${"))
      checking.add("missing_field", [...path, index], "An event whose name is an expression needs `as`: its name in the output.");
    if (!isReachable(name))
      checking.add("wrong_value", [...path, index], `\`${name}\` cannot be read in the output; give the event another name with \`as\`.`);
    if (seen.has(name))
      checking.add("duplicate_name", [...path, index], `Two events are called \`${name}\` in the output; give one of them \`as\`.`);
    seen.add(name);
  }
}

export function checkEmit(checking: Checking, { step, path, scope }: StepPlace<StepOf<"emit">>): Type {
  checking.wanted(step.event, [...path, "event"], scope, text);
  checking.wanted(step.to, [...path, "to"], scope, text);
  checking.value(step.data, [...path, "data"], scope);
  return objectOf([
    ["event", stringType],
    ["id", stringType],
    ["to", step.to === undefined ? nullType : stringType],
    ...(step.to === undefined ? [["runs", numberType] as [string, Type]] : []),
  ]);
}

export function checkApproval(checking: Checking, place: StepPlace<StepOf<"approval">>): Type {
  const { step, path, scope } = place;
  checking.value(step.title, [...path, "title"], scope);
  const payload = checking.value(step.payload, [...path, "payload"], scope);
  checking.wanted(step.assignees, [...path, "assignees"], scope, people);
  checkQuorum(checking, place);
  checkReminders(checking, place);
  if (step.onExpire && step.expiresAfter === undefined && !checking.damage.isBroken(path))
    checking.addAtKey("conflict", [...path, "onExpire"], "`onExpire` without `expiresAfter` never runs; add `expiresAfter`.");
  if (step.onExpire)
    checking.block({ steps: step.onExpire, path: [...path, "onExpire"] }, scope.inside({ pathLength: "onExpire.".length }));
  if (step.editable && step.payload === undefined && !checking.damage.isBroken(path))
    checking.addAtKey("conflict", [...path, "editable"], "There is no `payload` that could be edited; add it, or use `form`.");
  const form = checking.schema(step.form, [...path, "form"]);
  return objectOf([
    ["decision", stringType],
    ["approved", booleanType],
    ["by", unionOf([stringType, nullType])],
    ["at", stringType],
    ["comment", unionOf([stringType, nullType])],
    ["data", unionOf([step.form ? form : step.editable ? payload : anyType, nullType])],
  ]);
}

const people = { type: unionOf([stringType, listOf(stringType)]), what: "a list of texts" };

function checkQuorum(checking: Checking, { step, path, scope }: StepPlace<StepOf<"approval">>): void {
  const { quorum, assignees } = step;
  const at = [...path, "quorum"];
  if (typeof quorum === "string") checking.wanted(quorum, at, scope, { type: numberType, what: "a whole number" });
  if (typeof quorum !== "number" || !Array.isArray(assignees)) return;
  const persons = new Set(assignees);
  // A role or an expression may stand for many.
  if (quorum > persons.size && ![...persons].some((person) => person.startsWith("role:") || person.includes("${")))
    checking.add("wrong_value", at, `\`quorum\` is ${quorum}, but only ${persons.size} may approve; name more, or a role.`);
}

function checkReminders(checking: Checking, { step, path, scope }: StepPlace<StepOf<"approval">>): void {
  const expires = checking.duration(step.expiresAfter, [...path, "expiresAfter"], scope);
  const remind = checking.duration(step.remindAfter, [...path, "remindAfter"], scope);
  const escalate = checking.duration(step.escalate?.after, [...path, "escalate", "after"], scope);
  checking.wanted(step.escalate?.to, [...path, "escalate", "to"], scope, people);
  if (remind !== undefined && remind < limits.remindAfterMinMs)
    checking.add("wrong_value", [...path, "remindAfter"], `\`remindAfter\` must be at least ${limits.remindAfterMinMs} ms.`);
  const late = { remindAfter: remind, "escalate.after": escalate };
  for (const [field, ms] of Object.entries(late))
    if (ms !== undefined && expires !== undefined && ms >= expires)
      checking.add(
        "conflict",
        [...path, ...field.split(".")],
        `The question expires before \`${field}\` has passed; make it shorter than \`expiresAfter\`.`,
      );
}

export function checkRaise(checking: Checking, { step, path, scope }: StepPlace<StepOf<"raise">>): Type {
  if (step.error === undefined && !scope.isInCatch && !checking.damage.isBroken(path))
    checking.add("conflict", path, "`raise` without `error` passes on a caught error, and there is none here; add `error`.");
  checking.value(step.error, [...path, "error"], scope);
  return nullType;
}
