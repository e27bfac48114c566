import type { ToolFields } from "../contracts/activities.ts";
import type { Json } from "../contracts/json.ts";
import { toolName } from "../contracts/policy.ts";
import type { Database } from "../prisma/client.ts";
import { isKeyOf, standingEffect, type EffectId, type StandingEffect } from "../prisma/effects.ts";
import { hashOf } from "../prisma/hash.ts";
import { namesOf, type RunName } from "../prisma/run-names.ts";
import type { WorkContext } from "./work.ts";

/** What is known of a call before it is made; its id is that under which it was made before, or is now. */
export interface LookedUp extends EffectId {
  known: StandingEffect | undefined;
  /** Begun by the same step with other arguments: what became of it must be known before anything else is done. */
  unclear?: StandingEffect;
  /** The arguments with which it was begun, where another run said the same in names of its own. */
  said?: Json;
}

/** The same call has the same tool and the same arguments, but for the names of the run that makes it: a retry and a fork have others. */
export async function lookUp(
  database: Database,
  { fields, call }: { fields: ToolFields; call: number },
  { tenant, idempotencyKey, runId, path }: WorkContext,
): Promise<LookedUp> {
  const id = { tenant, key: idempotencyKey, call, argsHash: hashOfArguments(fields) };
  const { key, known, others } = await standingEffect(database, id, isUndoing(path));
  const same = known ? undefined : await saidOtherwise(database, fields, { tenant, runId, others });
  const unclear = others.find((other) => other !== same?.effect && other.state === "open" && isKeyOf(idempotencyKey, other.key));
  const more = unclear ? { unclear } : {};
  // Of an origin's open effect the outside knows the origin's key.
  if (!same) return { ...id, ...more, key: known?.key ?? key, known };
  const { effect, said } = same;
  return { ...id, ...more, key: effect.key, argsHash: effect.argsHash, known: effect, said };
}

/** The effect that another run had begun by saying the same as this one, as that run said it. */
async function saidOtherwise(
  database: Database,
  fields: ToolFields,
  { tenant, runId, others }: { tenant: string; runId: string; others: StandingEffect[] },
): Promise<{ effect: StandingEffect; said: Json } | undefined> {
  const foreign = others.filter(({ askedBy }) => askedBy !== runId);
  if (foreign.length === 0) return undefined;
  const names = await namesOf(database, tenant, [runId, ...foreign.map(({ askedBy }) => askedBy)]);
  for (const effect of foreign) {
    const said = renamed(fields.arguments, names.get(runId)!, names.get(effect.askedBy)!);
    if (hashOfArguments({ ...fields, arguments: said }) === effect.argsHash) return { effect, said };
  }
  return undefined;
}

/** A value in which one run and those above it are named, with the names of others. */
function renamed(value: Json, from: RunName[], to: RunName[]): Json {
  const names = new Map<string, string>();
  const name = (old: string | undefined, now: string | undefined): void => {
    if (old !== undefined && now !== undefined && !names.has(old)) names.set(old, now);
  };
  for (const [index, { id, startedAt }] of from.entries()) {
    name(id, to[index]?.id);
    name(startedAt, to[index]?.startedAt);
  }
  // A child's id begins with its parent's.
  const longestFirst = [...names.keys()].toSorted((a, b) => b.length - a.length).map(escaped);
  if (longestFirst.length === 0) return value;
  return JSON.parse(JSON.stringify(value).replace(new RegExp(longestFirst.join("|"), "g"), (old) => names.get(old)!)) as Json;
}

const escaped = (text: string): string => text.replaceAll(".", "\\.");

/** Another tool or other arguments are another effect. */
const hashOfArguments = (fields: ToolFields): string => hashOf([toolName(fields), fields.arguments]);

const isUndoing = (path: string): boolean => path.includes(".compensate.");
