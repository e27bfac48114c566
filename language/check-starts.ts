import type { Definition } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { instant } from "../contracts/instant.schema.ts";
import { limits } from "../contracts/limits.ts";
import { keyType } from "./check-calls.ts";
import type { Checking } from "./check-context.ts";
import { checkFit } from "./check-fit.ts";
import { Scope } from "./check-scope.ts";
import { cronProblem } from "./cron.ts";
import { anyMap, anyType, isAny, objectOf, stringType, type Type } from "./expression/types.ts";
import type { Path } from "./finding.ts";
import { timezoneProblem } from "./timezone.ts";
import { validateValue } from "./validate.ts";

/** What of a definition decides when its runs start: `concurrency` and `triggers`. `input` is the type of their input. */
export function checkStarts(checking: Checking, definition: Definition, input: Type): void {
  checking.wanted(definition.concurrency?.key, ["concurrency", "key"], new Scope({ names: { input } }), keyType);
  for (const [index, trigger] of (definition.triggers ?? []).entries()) {
    const path = ["triggers", index];
    const [kind, ...others] = Object.keys(trigger);
    if (kind === undefined && !checking.damage.isBroken([]))
      checking.add("missing_field", path, "A trigger is one of `schedule`, `webhook`, `event`; add one.");
    for (const other of others)
      checking.addAtKey(
        "conflict",
        [...path, other],
        `A trigger is one of \`schedule\`, \`webhook\`, \`event\`; put \`${other}\` into one of its own.`,
      );
    if (trigger.schedule) checkSchedule(checking, trigger.schedule, [...path, "schedule"], definition);
    if (trigger.webhook)
      checkInput(checking, { given: trigger.webhook.input, names: { request: requestType }, input }, [...path, "webhook"]);
    if (trigger.event) checkEvent(checking, trigger.event, [...path, "event"], input);
  }
  checkWebhookPaths(checking, definition);
}

type Trigger = NonNullable<Definition["triggers"]>[number];
type Schedule = NonNullable<Trigger["schedule"]>;

const requestType = objectOf([
  ["body", anyType],
  ["headers", anyMap],
  ["query", anyMap],
]);
const eventType = objectOf([
  ["event", stringType],
  ["data", anyType],
  ["id", stringType],
  ["at", stringType],
]);

function checkSchedule(checking: Checking, schedule: Schedule, path: Path, definition: Definition): void {
  if (schedule.cron === undefined && schedule.every === undefined && !checking.damage.isBroken([]))
    checking.add("missing_field", path, "A schedule needs `cron` or `every`.");
  if (schedule.cron !== undefined && schedule.every !== undefined)
    checking.addAtKey("conflict", [...path, "every"], "`cron` and `every` exclude each other; keep one of them.");
  const cron = schedule.cron === undefined ? undefined : cronProblem(schedule.cron);
  if (cron !== undefined)
    checking.add("wrong_value", [...path, "cron"], `${JSON.stringify(schedule.cron)} is not a cron expression. ${cron}`);
  const every = checking.fixedDuration(schedule.every, [...path, "every"]);
  if (every !== undefined && every < limits.scheduleEveryMinMs)
    checking.add("wrong_value", [...path, "every"], `\`every\` must be at least ${limits.scheduleEveryMinMs} ms.`);
  checking.fixedDuration(schedule.catchUp, [...path, "catchUp"]);
  checkMoments(checking, schedule, path);
  checkFixedInput(checking, schedule.input, [...path, "input"], definition);
}

function checkMoments(checking: Checking, { timezone, startAt, endAt }: Schedule, path: Path): void {
  const problem = timezone === undefined ? undefined : timezoneProblem(timezone);
  if (problem !== undefined) checking.add("wrong_value", [...path, "timezone"], problem);
  for (const [field, moment] of Object.entries({ startAt, endAt }))
    if (moment !== undefined && !instant.safeParse(moment).success)
      checking.add(
        "wrong_value",
        [...path, field],
        `${JSON.stringify(moment)} is not a date and time of the years 1970 to 9998; write it as 2026-01-31T09:00:00Z.`,
      );
  if (startAt !== undefined && endAt !== undefined && Date.parse(endAt) <= Date.parse(startAt))
    checking.add("conflict", [...path, "endAt"], "`endAt` is not after `startAt`, so that nothing ever starts; move one of them.");
}

/** A schedule's input is the same at each start: it can be held against the schema itself. */
function checkFixedInput(checking: Checking, given: Json | undefined, path: Path, definition: Definition): void {
  const before = checking.findings.length;
  refuseExpressions(checking, given ?? null, path);
  if (checking.findings.length > before || definition.input === undefined || checking.damage.isBroken([])) return;
  for (const { pointer, message } of validateValue(definition.input, given ?? {}).slice(0, 1))
    checking.add(
      "type_mismatch",
      given === undefined ? path.slice(0, -1) : path,
      `No run could start with this input: \`input${pointer}\` ${message}.`,
    );
}

function refuseExpressions(checking: Checking, value: Json, path: Path): void {
  if (typeof value === "string" && value.replaceAll("$${", "").includes("${"))
    checking.add("literal_required", path, "The input of a schedule is fixed; a run reads the time of its start in `run.startedAt`.");
  if (typeof value !== "object" || value === null) return;
  for (const [key, member] of Object.entries(value))
    refuseExpressions(checking, member, [...path, Array.isArray(value) ? Number(key) : key]);
}

function checkEvent(checking: Checking, { when, input: given }: NonNullable<Trigger["event"]>, path: Path, input: Type): void {
  checking.condition(when, [...path, "when"], new Scope({ names: { event: eventType } }));
  checkInput(checking, { given, names: { event: eventType }, input }, path);
}

interface Input {
  given: Json | undefined;
  names: Record<string, Type>;
  input: Type;
}

function checkInput(checking: Checking, { given, names, input }: Input, path: Path): void {
  if (given === undefined) return;
  const type = checking.value(given, [...path, "input"], new Scope({ names }));
  if (!isAny(input)) checkFit(checking, { type, wanted: input, path: [...path, "input"], what: "input" });
}

function checkWebhookPaths(checking: Checking, { name, triggers = [] }: Definition): void {
  const seen = new Set<string>();
  for (const [index, { webhook }] of triggers.entries()) {
    if (!webhook) continue;
    const path = webhook.path ?? name;
    if (seen.has(path))
      checking.add("duplicate_name", ["triggers", index, "webhook"], `Two webhooks have the path \`${path}\`; give one of them another.`);
    seen.add(path);
  }
}
