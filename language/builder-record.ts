/* oxlint-disable max-params -- the order of arguments is the language's: id, what it works on, callbacks, options */
import type { Json, JsonObject } from "../contracts/json.ts";
import { compact, jsonSchemaOf, optionFields } from "./builder-options.ts";
import { refuse, type Ref } from "./builder-refs.ts";
import type { Recorder } from "./builder-scope.ts";
import type { Callable, Case, ListenFor, ToolType } from "./builder-fields.ts";
import type { Steps } from "./builder-steps.ts";

type Given = Readonly<Record<string, unknown>>;
type Build = () => unknown;
type OfItem = (item: Ref<never>, index: Ref<never>) => unknown;
type OfIteration = (iteration: { last: Ref<never>; index: Ref<never> }) => unknown;

/** The step functions over one recorder. Their types, which callers see, stand in `Steps`. */
export function createSteps(recorder: Recorder): Steps {
  const add = (type: string, id: string, own: JsonObject, options: Given = {}): Ref<never> =>
    recorder.add({ id, type, ...own, ...optionFields(recorder, options) });
  // The implementations know nothing of outputs: a reference of unknown type, where `Steps` promises a typed one.
  return {
    ...callSteps(recorder, add),
    ...scopeSteps(recorder, add),
    ...loopSteps(recorder, add),
    ...waitSteps(recorder, add),
  } as unknown as Steps;
}

type Add = (type: string, id: string, own: JsonObject, options?: Given) => Ref<never>;

/** Steps that leave the workflow or take no time. */
const callSteps = (recorder: Recorder, add: Add) => ({
  llm: (id: string, { output, guardrails, ...fields }: Given, options?: Given) => {
    const own = { ...recorder.fields(fields), guardrails: rulesOf(guardrails), outputSchema: jsonSchemaOf(output) };
    return add("llm", id, compact(own), options);
  },

  agent: (id: string, { output, tools, guardrails, ...fields }: Given, options?: Given) => {
    const own = {
      ...recorder.fields(fields),
      tools: grantedOf(tools),
      guardrails: rulesOf(guardrails),
      outputSchema: jsonSchemaOf(output),
    };
    return add("agent", id, compact(own), options);
  },

  tool: (id: string, tool: string | ToolType, args?: unknown, options?: Given) =>
    add("tool", id, { tool: typeof tool === "string" ? tool : tool.name, ...recorder.fields({ arguments: args }) }, options),

  http: (id: string, fields: Given, options?: Given) => add("http", id, recorder.fields(fields), options),

  activity: (id: string, activity: string, args?: unknown, options?: Given) =>
    add("activity", id, { activity, ...recorder.fields({ arguments: args }) }, options),

  call: (id: string, target: string | Callable<unknown, unknown>, input?: unknown, options?: Given) => {
    const named: JsonObject = typeof target === "string" ? { workflow: target } : { workflow: target.name, version: target.version };
    return add("workflow", id, { ...named, ...recorder.fields({ input }) }, options);
  },

  set: (id: string, values: unknown, options?: Given) => add("set", id, { values: recorder.render(values) }, options),

  emit: (id: string, fields: Given, options?: Given) => add("emit", id, recorder.fields(fields), options),

  message: (id: string, fields: Given, options?: Given) => add("message", id, recorder.fields(fields), options),

  raise: (id: string, error?: unknown, options?: Given) => add("raise", id, recorder.fields({ error }), options),

  end: (id: string, fields: Given = {}, options?: Given) => add("end", id, recorder.fields(fields), options),
});

/** As they are written: no expression stands in them, so that nothing needs to be escaped. */
const rulesOf = (rules: unknown): Json | undefined =>
  (rules as readonly Given[] | undefined)?.map((rule) =>
    compact("schema" in rule ? { ...rule, schema: jsonSchemaOf(rule["schema"]) } : rule),
  );

/** A tool with its types stands for its name. */
const grantedOf = (tools: unknown): Json | undefined =>
  (tools as (string | JsonObject)[] | undefined)?.map((tool) => (typeof tool === "object" && "name" in tool ? tool["name"]! : tool));

/** Scopes that run their steps once. */
const scopeSteps = (recorder: Recorder, add: Add) => ({
  sequence: (id: string, steps: Build, options?: Given) => add("sequence", id, { ...recorder.block([], steps) }, options),

  when: (id: string, condition: unknown, then: Build, otherwise?: Build, options?: Given) =>
    add("switch", id, switchFields(recorder, [{ when: condition as boolean, steps: then }], otherwise), options),

  switchOn: (id: string, cases: readonly Case[], otherwise?: Build, options?: Given) =>
    add("switch", id, switchFields(recorder, cases, otherwise), options),

  parallel: (id: string, branches: Record<string, Build>, { until, ...options }: Given & JoinGiven = {}) => {
    const built = Object.entries(branches).map(([name, steps]) => [name, recorder.steps(steps, `branch \`${name}\``)] as const);
    return add("parallel", id, compact({ branches: Object.fromEntries(built), until: doneField(recorder, until) }), options);
  },

  attempt: (id: string, steps: Build, { finally: last, ...options }: Given & { finally?: Build } = {}) => {
    const own = { ...recorder.block([], steps), finally: last && recorder.steps(last, "`finally`") };
    return add("try", id, compact(own), options);
  },
});

function switchFields(recorder: Recorder, cases: readonly Case[], otherwise?: Build): JsonObject {
  const built = cases.map(({ name, when, steps }) => compact({ name, when: recorder.render(when), ...recorder.block([], steps) }));
  return compact({ cases: built, default: otherwise && recorder.steps(otherwise, "the default case") });
}

interface JoinGiven {
  until?: (done: Ref<never>) => unknown;
}

const doneField = (recorder: Recorder, until: JoinGiven["until"]): Json | undefined =>
  until && recorder.seeing(["done"], (scope) => recorder.render(until(scope.ref("done"))));

/** Scopes that run their steps again and again. */
const loopSteps = (recorder: Recorder, add: Add) => ({
  foreach: (
    id: string,
    items: unknown,
    steps: OfItem,
    { as, index, key, until, ...options }: Given & JoinGiven & { key?: OfItem } = {},
  ) => {
    const names = [(as as string) ?? recorder.freeName("item"), (index as string) ?? recorder.freeName("index")] as const;
    const [item, place] = names;
    const own = compact({
      items: recorder.render(items),
      ...renamed({ as: item, index: place }),
      ...recorder.block(names, (scope) => steps(scope.ref(item), scope.ref(place))),
      key: key && recorder.seeing(names, (scope) => recorder.render(key(scope.ref(item), scope.ref(place)))),
      until: doneField(recorder, until),
    });
    return add("foreach", id, own, options);
  },

  loop: (id: string, steps: OfIteration, given: Given & { while?: OfIteration; until?: (result: unknown) => unknown }) => {
    const { while: before, until, index: wanted, ...options } = given;
    const index = (wanted as string) ?? recorder.freeName("index");
    const names = ["last", index];
    let untilField: Json | undefined;
    const own = compact({
      while: before && recorder.seeing(names, (scope) => recorder.render(before({ last: scope.ref("last"), index: scope.ref(index) }))),
      ...renamed({ index }),
      ...recorder.block(
        names,
        (scope) => steps({ last: scope.ref("last"), index: scope.ref(index) }),
        (result) => (untilField = until && recorder.render(until(result))),
      ),
      until: untilField,
    });
    return add("loop", id, { ...own, ...(untilField === undefined ? {} : { until: untilField }) }, options);
  },
});

/** The names that are not the language's own. */
const renamed = (names: Record<string, string>): JsonObject =>
  Object.fromEntries(Object.entries(names).filter(([field, name]) => name !== (field === "as" ? "item" : field)));

/** Steps that may take days. */
const waitSteps = (recorder: Recorder, add: Add) => ({
  wait: (id: string, time: unknown, options?: Given) => {
    const isMoment = typeof time === "object" && time !== null;
    return add("wait", id, recorder.fields(isMoment ? (time as Given) : { duration: time }), options);
  },

  listen: (id: string, { one, any, all, onTimeout, foreach, until, ...fields }: Given & ListenGiven, options?: Given) => {
    const own = compact({
      one: one && listenFields(recorder, one),
      any: any?.map((event) => listenFields(recorder, event)),
      all: all?.map((event) => listenFields(recorder, event)),
      ...recorder.fields(fields),
      foreach: foreach && streamFields(recorder, foreach),
      until:
        until &&
        recorder.seeing(["event", "last"], (scope) => recorder.render(until({ event: scope.ref("event"), last: scope.ref("last") }))),
      onTimeout: onTimeout && recorder.steps(onTimeout, "`onTimeout`"),
    });
    return add("listen", id, own, options);
  },

  approval: (id: string, { onExpire, form, ...fields }: Given & { onExpire?: Build }, options?: Given) => {
    const own = compact({
      ...recorder.fields(fields),
      form: jsonSchemaOf(form),
      onExpire: onExpire && recorder.steps(onExpire, "`onExpire`"),
    });
    return add("approval", id, own, options);
  },
});

interface ListenGiven {
  one?: ListenFor;
  any?: readonly ListenFor[];
  all?: readonly ListenFor[];
  onTimeout?: Build;
  foreach?: StreamGiven;
  until?: (handled: { event: Ref<never>; last: Ref<never> }) => unknown;
}

interface StreamGiven {
  as?: string;
  concurrency?: number;
  steps: (event: Ref<never>) => unknown;
}

function streamFields(recorder: Recorder, { as, concurrency, steps }: StreamGiven): JsonObject {
  const name = as ?? recorder.freeName("event");
  return compact({
    as: name === "event" ? undefined : name,
    concurrency,
    ...recorder.block([name], (scope) => steps(scope.ref(name))),
  });
}

function listenFields(recorder: Recorder, { event, when, schema, as }: ListenFor): JsonObject {
  if (as?.includes("${")) refuse("`as` is a name, not an expression.");
  const condition = when && recorder.seeing(["event"], (scope) => recorder.render(when(scope.ref("event"))));
  return compact({ event: recorder.render(event), when: condition, schema: jsonSchemaOf(schema), as });
}
