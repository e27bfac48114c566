import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { STEP_ID_PATTERN } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { pathText, valueAt, type Path } from "./finding.ts";
import type { Issue } from "./shape-sentences.ts";

/** Which steps are not as their author wrote them: what they give is not known. */
export interface Damage {
  /** Whether anything was taken out. */
  isAnywhere: boolean;
  isBroken(step: Path): boolean;
  /** Texts in what was taken out: one may be the name that an expression uses. */
  texts: ReadonlySet<string>;
}

/** Ids of stand-ins for steps whose own id is not known begin with it. */
export const STAND_IN = "broken_step_";

/**
 * A copy with what does not fit taken out, so that the rest can be checked in the same pass. Nothing changes its place:
 * paths stay true. With `earlier` damage (second round) a step gives way as a whole.
 */
export function repair(value: Json, issues: Issue[], earlier?: Damage): { value: Json; damage: Damage } {
  const copy = structuredClone(value);
  const broken = new Set<string>();
  const texts = new Set(earlier?.texts);
  for (const issue of issues) {
    const step = stepAround(issue.path as Path);
    for (const taken of partsIn(value, issue)) collectTexts(taken, texts);
    broken.add(pathText(step ?? []));
    if (!step) mendEnvelope(copy, issue);
    else if (earlier || !mendField(copy, issue, step)) replaceStep(copy, step);
  }
  const isBroken = (path: Path): boolean => broken.has(pathText(path)) || earlier?.isBroken(path) === true;
  return { value: copy, damage: { isAnywhere: true, isBroken, texts } };
}

/** What an issue is about, as it was written. */
function partsIn(value: Json, issue: Issue): (Json | undefined)[] {
  const at = issue.path as Path;
  return issue.code === "unrecognized_keys" ? issue.keys.map((key) => valueAt(value, [...at, key])) : [valueAt(value, at)];
}

function collectTexts(value: Json | undefined, into: Set<string>): void {
  if (typeof value === "string") into.add(value);
  else if (typeof value === "object" && value !== null) for (const inside of Object.values(value)) collectTexts(inside, into);
}

const stepLists = new Set(["steps", "default", "onTimeout", "onExpire", "finally", "compensate"]);

/** The innermost step a path leads through. */
function stepAround(path: Path): Path | undefined {
  for (let end = path.length; end > 0; end--) {
    if (typeof path[end - 1] !== "number") continue;
    if (stepLists.has(String(path[end - 2])) || path[end - 3] === "branches") return path.slice(0, end);
  }
  return undefined;
}

function mendEnvelope(copy: Json, issue: Issue): void {
  if (!isObject(copy)) return;
  if (issue.code === "unrecognized_keys") return void removeKeys(valueAt(copy, issue.path as Path), issue.keys);
  const field = String(issue.path[0]);
  const inside = copy[field];
  if (field === "triggers" && Array.isArray(inside) && issue.path.length > 1)
    inside[Number(issue.path[1])] = { event: { event: "broken" } };
  else if (field === "concurrency" && isObject(inside) && issue.path.length > 1) delete inside[String(issue.path[1])];
  else if (field === "name") copy["name"] = "broken";
  else if (field === "version") copy["version"] = "0.0.0";
  else if (field !== "steps") delete copy[field];
}

/** What stands in for a required field that is missing or broken, so that the rest of its step can be checked. */
const standIns: Readonly<Record<string, Json>> = {
  if: true,
  when: true,
  while: true,
  until: true,
  items: [],
  maxIterations: 1,
  values: null,
  url: "https://example.com",
  role: "user",
  content: "",
  error: { type: "broken" },
  tool: "broken",
  activity: "broken",
  workflow: "broken",
  event: "broken",
  title: "broken",
  steps: [{ id: `${STAND_IN}0`, type: "set", values: null }],
};

/** Mend the smallest part of the step that can be left out. False = only the whole step can. */
function mendField(copy: Json, issue: Issue, step: Path): boolean {
  if (issue.code === "unrecognized_keys") return removeKeys(valueAt(copy, issue.path as Path), issue.keys);
  for (let end = issue.path.length; end > step.length; end--) {
    const field = issue.path[end - 1];
    const container = valueAt(copy, issue.path.slice(0, end - 1) as Path);
    if (typeof field !== "string" || !isObject(container)) continue;
    if (end === step.length + 1 && field === "type") return false;
    if (end === step.length + 1 && field === "id") container["id"] = standInId(step);
    else if (Object.hasOwn(standIns, field)) container[field] = structuredClone(standIns[field]!);
    else if (Object.hasOwn(container, field)) delete container[field];
    else return false;
    return true;
  }
  return false;
}

function replaceStep(copy: Json, step: Path): void {
  const container = valueAt(copy, step.slice(0, -1));
  if (!Array.isArray(container)) return;
  const index = Number(step.at(-1));
  const old = isObject(container[index]) ? container[index] : {};
  const standIn: JsonObject = { id: isName(old["id"]) ? old["id"] : standInId(step), type: "set", values: null };
  if (Array.isArray(old["needs"])) standIn["needs"] = old["needs"].filter(isName);
  container[index] = standIn;
}

const standInId = (step: Path): string => `${STAND_IN}${String(step.at(-1))}`;

const namePattern = new RegExp(STEP_ID_PATTERN);
const isName = (value: unknown): value is string =>
  typeof value === "string" && namePattern.test(value) && value.length <= limits.idBytesMax;

function removeKeys(from: Json | undefined, keys: string[]): true {
  if (isObject(from)) for (const key of keys) delete from[key];
  return true;
}
