import { randomUUID } from "node:crypto";
import { z } from "zod";
import { takenSchema, tenantEventSchema, type TenantEvent } from "../contracts/schedule.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { TENANT_PATTERN } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { fill, Meter, type Roots } from "../language/expression/evaluate.ts";
import { scopesOf } from "./auth.ts";
import { beginOnce, runIdFor, type StartKind } from "./begin.ts";
import { deliverToWaiting, type HappenedEvent } from "./deliver.ts";
import { route, type Answer, type Call } from "./route.ts";
import { unkeepable } from "./text.ts";
import { triggersFor } from "./triggers.ts";
import { isSigned } from "./webhook-signature.ts";

const tag = "Events";
const answers = { 202: { description: "Taken in.", schema: takenSchema } };

const hookParams = z.object({
  tenant: z.string().regex(new RegExp(TENANT_PATTERN)),
  path: z.string().min(1).max(limits.idBytesMax).meta({ description: "`path` of the trigger; the workflow's name without it." }),
});

type Target = z.output<typeof hookParams>;

export const triggerRoutes = [
  route({
    id: "sendEvent",
    method: "post",
    path: "/api/v2/events",
    summary: "Something happened: start the workflows that it triggers",
    description: "Each workflow whose newest version has a trigger for it starts once per event id.",
    tag,
    scope: "signal",
    body: tenantEventSchema,
    idempotency: "table",
    answers,
    faults: ["reserved_key", "limit"],
    handle: takeEvent,
  }),
  route({
    id: "callWebhook",
    method: "post",
    path: "/api/v2/hooks/{tenant}/{path}",
    summary: "A call from outside that starts a workflow",
    description:
      "Signed as standardwebhooks.com says (`webhook-id`, `webhook-timestamp`, `webhook-signature`) when the trigger names a secret; with a key that may start runs otherwise. The same `webhook-id` acts once.",
    tag,
    scope: "optional",
    params: hookParams,
    bytes: true,
    idempotency: "handler",
    answers,
    faults: ["unauthenticated", "forbidden", "not_found", "reserved_key", "limit"],
    handle: takeHook,
  }),
];

async function takeEvent(call: Call<unknown, unknown, TenantEvent>): Promise<Answer> {
  const { deps, caller, body, idempotencyKey } = call;
  const id = body.id ?? idempotencyKey ?? randomUUID();
  const event: HappenedEvent = { event: body.event, data: (body.data ?? null) as Json, id, at: new Date().toISOString() };
  const triggers = await within(triggersFor(deps, { tenant: caller.tenant, type: "event", key: event.event, atMost: tooMany }));
  const orders = triggers.map(({ workflow, trigger }): Wish => ({
    workflow,
    when: (meter) => !trigger.when || fill({ expr: trigger.when }, rootsOf({ event }), meter) === true,
    input: (meter) => (trigger.input ? fill(trigger.input, rootsOf({ event }), meter) : (event["data"] ?? null)),
  }));
  const taken = await startAll(call, orders, {
    tenant: caller.tenant,
    startedBy: `event:${event.event}`,
    key: ["event", event.event, id],
  });
  return { status: 202, body: { id, ...taken, delivered: await deliverToWaiting(deps, caller.tenant, event) } };
}

async function takeHook(call: Call<Target>): Promise<Answer> {
  const { deps, params, request, idempotencyKey } = call;
  const { tenant, path } = params;
  const triggers = await within(triggersFor(deps, { tenant, type: "webhook", key: path, atMost: tooMany }));
  const allowed = triggers.filter(({ trigger }) => mayCall(call, trigger.secret));
  if (allowed.length === 0) throw refusal(call);
  const id = request.get("webhook-id") ?? idempotencyKey ?? randomUUID();
  const shown = { body: bodyOf(call), headers: headersOf(call), query: { ...request.query } as JsonObject };
  const orders = allowed.map(({ workflow, trigger }): Wish => ({
    workflow,
    when: () => true,
    input: (meter) => (trigger.input ? fill(trigger.input, rootsOf({ request: shown }), meter) : shown.body),
  }));
  const taken = await startAll(call, orders, { tenant, startedBy: `webhook:${path}`, key: ["webhook", path, id] });
  return { status: 202, body: { id, ...taken, delivered: 0 } };
}

function mayCall({ deps, caller, params, request, body }: Call<Target>, secret: string | undefined): boolean {
  if (secret === undefined) return caller.tenant === params.tenant && scopesOf(caller.principal).has("start");
  const value = deps.settings.webhookSecrets[`${params.tenant}/${secret}`];
  if (!value) deps.log.warn({ tenant: params.tenant, secret }, "a webhook's secret is not set");
  const signature = request.get("webhook-signature") ?? "";
  const given = { id: request.get("webhook-id") ?? "", timestamp: request.get("webhook-timestamp") ?? "", signature, body: body as Buffer };
  return value !== undefined && value !== "" && isSigned(given, value, Date.now());
}

/** Who has no key of the tenant does not learn what there is. */
function refusal({ caller, params }: Call<Target>): Fault {
  if (caller.tenant !== params.tenant)
    return new Fault("unauthenticated", "Sign the request with the webhook's secret, or send a key of its tenant.");
  return new Fault("not_found", `No workflow has a webhook ${params.path} that this key may call; one with a secret wants its signature.`);
}

interface Wish {
  workflow: string;
  when: (meter: Meter) => boolean;
  input: (meter: Meter) => Json;
}

/** Each on its own: what one workflow refuses must not keep the others from starting. */
async function startAll(
  call: Call,
  wishes: Wish[],
  { tenant, startedBy, key }: { tenant: string; startedBy: string; key: [StartKind, ...string[]] },
): Promise<JsonObject> {
  const { deps } = call;
  const runs: Json[] = [];
  const refused: Json[] = [];
  let steps: number = limits.triggerStepsMax;
  for (const [index, { workflow, when, input }] of wishes.entries()) {
    // The same share of what is left for each: one that takes much leaves the others theirs.
    const share = Math.min(limits.expressionStepsMax, Math.floor(steps / (wishes.length - index)));
    const meter = new Meter(share);
    // Two triggers of one workflow for the same event are two wishes.
    const ordinal = wishes.slice(0, index).filter((other) => other.workflow === workflow).length;
    const runId = runIdFor(tenant, [...key, workflow, String(ordinal)]);
    try {
      if (!when(meter)) continue;
      const isNew = await beginOnce(deps, { tenant, id: runId, startedBy, workflow, input: input(meter) });
      runs.push({ workflow, runId, isNew });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      refused.push({ workflow, problem: error.problem as Json });
    } finally {
      steps -= Math.min(share, meter.spent);
    }
  }
  return { runs, refused };
}

const tooMany = limits.triggersPerEventMax + 1;

async function within<T>(found: Promise<T[]>): Promise<T[]> {
  const all = await found;
  if (all.length < tooMany) return all;
  throw new Fault("limit", `More than ${limits.triggersPerEventMax} workflows have a trigger for it; let one of them start the others.`);
}

const rootsOf = (names: JsonObject): Roots => ({ name: (name) => names[name], step: () => undefined });

function bodyOf({ body, request }: Call): Json {
  const text = (body as Buffer).toString("utf8");
  if (text === "") return null;
  if (!/^application\/([\w.-]+\+)?json\b/i.test(request.get("Content-Type") ?? "")) return keepable(text);
  try {
    return keepable(JSON.parse(text) as Json);
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("bad_request", "The body is not JSON, although its content type says so.", { cause: error });
  }
}

function keepable(value: Json): Json {
  const bad = unkeepable(value);
  if (bad) throw new Fault("bad_request", bad.message);
  return value;
}

// What proves who calls is nobody's input.
const secretHeaders = new Set(["authorization", "cookie", "proxy-authorization", "webhook-signature"]);

const headersOf = ({ request }: Call): JsonObject =>
  Object.fromEntries(
    Object.entries(request.headers).flatMap(([name, value]) =>
      secretHeaders.has(name) || value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value]],
    ),
  );
