import type { HttpFields } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import { isReadMethod } from "../contracts/http-methods.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { isCredentialName, isSecretName } from "../contracts/secrets.ts";
import type { Database } from "../prisma/client.ts";
import { admit } from "./admission.ts";
import type { Budgets } from "./budgets.ts";
import type { EffectCall, EffectLedger } from "./effects.ts";
import { perhapsDone, type Http } from "./http.ts";
import { assembleUrl } from "./http-url.ts";
import type { Redact } from "./redact.ts";
import type { Work } from "./step.ts";
import type { Effect } from "./tool-registry.ts";
import type { WorkContext } from "./work.ts";

interface Deps {
  database: Database;
  http: Http;
  effects: Pick<EffectLedger, "once">;
  redact: Redact;
  budgets: Budgets;
}

/**
 * The `http` step. Budgets take it for a call of a tool, and so does the effect ledger unless it only reads: one of unknown outcome is made
 * again under its key, unless the definition says that its server ignores that.
 */
export const createHttpStep =
  ({ http, effects, redact, ...asked }: Deps): Work<HttpFields> =>
  async (fields, _, context) => {
    const perform = async (within: WorkContext, isAgain: boolean, meant: unknown): Promise<JsonObject> => {
      try {
        const admitted = await admit(asked, within, { label: `${fields.method} by ${within.path}`, isRead: false, isAgain });
        return redact.value(await http(meant as HttpFields, { ...within, ...admitted }));
      } catch (error) {
        // A refusal after an attempt that broke off may be one because that has done it.
        // Before the ledger keeps it.
        throw redact.error(isAgain ? perhapsDone(error) : error);
      }
    };
    const effect = fields.effect ?? (isReadMethod(fields.method) ? "read" : "write");
    if (effect === "read") return workedOf({ output: await perform(context, false, fields) });
    try {
      return workedOf(await effects.once(callOf(fields, effect), context, perform));
    } catch (error) {
      throw redact.error(forPeople(error));
    }
  };

/** Its schema speaks of the body. What a person says that it gave may be anything. */
const workedOf = <Done extends { output: Json }>(done: Done): Done & { checked: Json } => ({
  ...done,
  checked: isObject(done.output) ? (done.output["body"] ?? null) : null,
});

function callOf(fields: HttpFields, effect: Effect): EffectCall {
  const { method, url, query, headers, body, settle, told } = fields;
  const { origin, pathname } = assembleUrl(url, {});
  return {
    tool: {
      name: `${method} ${origin}${pathname}`.slice(0, NAME_MAX),
      version: VERSION,
      effect,
      idempotent: fields.idempotent ?? true,
      // In the words of then, with what lets it pass now.
      parse: (said) => meantBy(said as unknown as Said, fields),
    },
    // What only lets the call pass is no part of what it does: another token does not make it another call, and is nobody's to see.
    fields: {
      tool: "http",
      arguments: {
        method,
        url,
        query: without(isCredentialName, query),
        headers: without(isCredentialName, headers),
        ...(body === undefined ? {} : { body }),
      },
      ...(settle ? { settle } : {}),
      ...(told ? { told } : {}),
    },
    args: fields,
    call: 0,
  };
}

type Said = Pick<HttpFields, "method" | "url" | "query" | "headers" | "body">;

const meantBy = (said: Said, fields: HttpFields): HttpFields => ({
  ...fields,
  ...said,
  query: { ...fields.query, ...said.query },
  headers: { ...fields.headers, ...said.headers },
});

const without = (isLeftOut: (name: string) => boolean, given: Record<string, Json>): JsonObject =>
  Object.fromEntries(Object.entries(given).filter(([name]) => !isLeftOut(name)));

/** What people are asked shows what was sent, but for what may be secret by its name. */
function forPeople(error: unknown): unknown {
  const sent = error instanceof Fault ? error.problem["arguments"] : undefined;
  if (!(error instanceof Fault) || !isObject(sent)) return error;
  const shown = Object.entries(sent).map(([name, value]) => [
    name,
    isObject(value) && name !== "body" ? without(isSecretName, value) : value,
  ]);
  return Fault.of({ ...error.problem, arguments: Object.fromEntries(shown) as JsonObject });
}

const NAME_MAX = 200;
const VERSION = "1.0.0";
