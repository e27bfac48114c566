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
}

/**
 * A copy with what does not fit taken out, so that the rest can be checked in the same pass. Nothing changes its place:
 * paths stay true. With `earlier` damage (second round) a step gives way as a whole.
 */
export function repair(value: Json, issues: Issue[], earlier?: Damage): { value: Json; damage: Damage } {
  const copy = structuredClone(value);
  const broken = new Set<string>();
  for (const issue of issues) {
    const step = stepAround(issue.path as Path);
    broken.add(pathText(step ?? []));
    if (!step) mendEnvelope(copy, issue);
    else if (earlier || !mendField(copy, issue, step)) replaceStep(copy, step);
  }
  return { value: copy, damage: { isAnywhere: true, isBroken: (path) => broken.has(pathText(path)) || earlier?.isBroken(path) === true } };
}

const stepLists = new Set(["steps", "default", "onTimeout", "onExpire", "finally"]);

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
  if (issue.code === "unrecognized_keys" && issue.path.length === 0) return removeKeys(copy, issue.keys);
  const field = String(issue.path[0]);
  if (field === "name") copy["name"] = "broken";
  else if (field === "version") copy["version"] = "0.0.0";
  else if (field !== "steps") delete copy[field];
}

const conditions = new Set(["when", "while", "until", "if"]);

/** Whether the step can stay once the field is gone. */
function mendField(copy: Json, issue: Issue, step: Path): boolean {
  const rest = issue.path.slice(step.length) as Path;
  const container = valueAt(copy, (issue.code === "unrecognized_keys" ? issue.path : issue.path.slice(0, -1)) as Path);
  if (issue.code === "unrecognized_keys" && isObject(container)) {
    removeKeys(container, issue.keys);
    return true;
  }
  const field = rest.at(-1);
  if (rest.length === 0 || rest[0] === "type" || rest[0] === "id") return false;
  if (typeof field === "string" && conditions.has(field) && isObject(container)) {
    container[field] = true;
    return true;
  }
  const owner = valueAt(copy, step);
  if (!isObject(owner) || !Object.hasOwn(owner, rest[0]!)) return false;
  delete owner[String(rest[0])];
  return true;
}

function replaceStep(copy: Json, step: Path): void {
  const container = valueAt(copy, step.slice(0, -1));
  if (!Array.isArray(container)) return;
  const index = Number(step.at(-1));
  const old = isObject(container[index]) ? container[index] : {};
  const standIn: JsonObject = { id: isName(old["id"]) ? old["id"] : `broken_standIn${index}`, type: "set", values: null };
  if (Array.isArray(old["needs"])) standIn["needs"] = old["needs"].filter(isName);
  container[index] = standIn;
}

const namePattern = new RegExp(STEP_ID_PATTERN);
const isName = (value: unknown): value is string => typeof value === "string" && namePattern.test(value) && value.length <= limits.idBytesMax;

function removeKeys(from: JsonObject, keys: string[]): void {
  for (const key of keys) delete from[key];
}
