import path from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import { isObject } from "../contracts/json.ts";
import { Fault } from "../contracts/faults.ts";
import { isVersion, leadingFirst, newestFirst, satisfies } from "../contracts/semver.ts";
import { nearest } from "../contracts/nearest.ts";
import { isSpan } from "../language/duration.ts";
import { validateValue } from "../language/validate.ts";
import type { Verified } from "./effects.ts";
import type { WorkContext } from "./work.ts";

// For authors of tools, who import this file alone: how a tool says that it failed.
export { Fault };

/** Whether calling a tool changes something outside, and whether that needs care. */
export type Effect = "read" | "write" | "dangerous";

export interface Tool {
  name: string;
  description: string;
  input: JsonSchema;
  output?: JsonSchema;
  effect: Effect;
  /** Semantic version. */
  version: string;
  /** It honours `context.idempotencyKey`: called twice with one key, it does its work once. */
  idempotent: boolean;
  /** Some of its calls do. */
  isIdempotent?: (args: unknown) => boolean;
  /** What became of a call that gave no answer. */
  verify?: (args: unknown, context: WorkContext) => Promise<Verified> | Verified;
  /** Answers in well under two seconds, so that a step may run it beside the walk. */
  short: boolean;
  /** Time for one call that an agent makes, as a duration; what its step or the agent says goes before it. */
  timeout?: string | number;
  /** Arguments as the tool wants them, or a promise of them. Fault `tool_input` with the pointer of each mismatch. */
  parse: (args: Json) => unknown;
  run: (args: unknown, context: WorkContext) => unknown;
  /** Why a result, which is one for whoever called, counts as a failure of the tool. */
  complaintIn?: (result: Json) => string | undefined;
  /** Whoever was given the tool is done with it. */
  close?: () => Promise<void>;
}

type Arguments<Input> = Input extends z.ZodType ? z.output<Input> : JsonObject;

interface ToolDefinition<Input extends z.ZodType | JsonSchema> {
  name: string;
  description: string;
  input: Input;
  output?: z.ZodType | JsonSchema;
  effect: Effect;
  /** Semantic version; 1.0.0 without it. */
  version?: string;
  /**
   * With another effect than `read`: calling it twice with one `context.idempotencyKey` is calling it once. Without it an attempt that
   * gave no answer, or threw an Error, is not repeated: `verify` says what became of it, or a person. A function says it of a
   * call.
   */
  idempotent?: boolean | ((args: Arguments<Input>) => boolean);
  /**
   * Ask the outside whether the call with this `context.idempotencyKey` has happened, and what it gave. Nothing must be on its way any
   * more that could make `not_done` untrue a moment later: the call is made again then. An Error is trouble outside: asked again, then a person.
   */
  verify?: (args: Arguments<Input>, context: WorkContext) => Promise<Verified> | Verified;
  /**
   * Only with `effect: "read"`: it answers in well under two seconds and may run twice. Steps with `short: true` then run
   * it beside the walk, without a task of Temporal's own.
   */
  short?: boolean;
  /**
   * Time for one call that an agent makes, such as `5m`: the agent, or the step, may say another in its `tools`. Without it `defaults.timeout` of the
   * definition, or 30 s. A `tool` step says its own.
   */
  timeout?: string | number;
  /**
   * Gives JSON; `undefined` becomes null. An Error counts as trouble outside: with `effect: "read"` it is tried again, otherwise it may have
   * happened, unless its code says that no connection was made (`ECONNREFUSED`, …). A Fault is the tool's own word that it failed and nothing
   * was done; with `extra: { mayHaveHappened: true }` that it cannot tell, with `retryable: false` that another attempt is in vain.
   */
  run: (args: Arguments<Input>, context: WorkContext) => unknown;
}

/** A tool of the catalogue. `input` as a zod schema types the arguments of `run`. */
export function defineTool<Input extends z.ZodType | JsonSchema>(definition: ToolDefinition<Input>): Tool {
  const { name, input, output, run, version = "1.0.0", verify } = definition;
  if (!/^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/.test(name)) throw new Error(`"${name}" is no tool name: use words joined by dots.`);
  if (definition.short && definition.effect !== "read") throw new Error(`${name} cannot be short: only tools with effect "read" can.`);
  if (!isVersion(version)) throw new Error(`${name}: "${version}" is no semantic version; use one such as 1.2.0.`);
  if (definition.timeout !== undefined && !isSpan(definition.timeout))
    throw new Error(`${name}: "${definition.timeout}" is no time for a call; use one such as 5m.`);
  const schema = input instanceof z.ZodType ? jsonSchemaOf(input, "input") : (input as JsonSchema);
  return {
    name,
    description: definition.description,
    input: schema,
    ...(output === undefined ? {} : { output: output instanceof z.ZodType ? jsonSchemaOf(output, "output") : output }),
    effect: definition.effect,
    version,
    idempotent: definition.idempotent === true,
    // As with `run` below.
    ...(typeof definition.idempotent === "function" ? { isIdempotent: definition.idempotent as NonNullable<Tool["isIdempotent"]> } : {}),
    ...(verify ? { verify: verify as NonNullable<Tool["verify"]> } : {}),
    short: definition.short ?? false,
    ...(definition.timeout === undefined ? {} : { timeout: definition.timeout }),
    parse: input instanceof z.ZodType ? (args) => parseWithZod(name, input, args) : (args) => parseWithSchema(name, schema, args),
    // `parse` above gives what `run` takes: both were made from `input`.
    run: run as Tool["run"],
  };
}

export interface ToolRegistry {
  /**
   * The highest release, or the highest version in a range. Fault `tool_input` with the nearest names for a tool that is not there, `tool`
   * (tried again: another worker may have it) for a version.
   */
  get(name: string, range?: string): Tool;
  list(): Tool[];
}

export function createToolRegistry(tools: Tool[]): ToolRegistry {
  const byName = new Map<string, Tool[]>();
  for (const tool of tools) {
    const versions = byName.get(tool.name) ?? [];
    if (versions.some(({ version }) => version === tool.version)) throw new Error(`Two tools are named ${tool.name} ${tool.version}.`);
    byName.set(tool.name, [...versions, tool].toSorted(newestFirst));
  }
  return {
    get(name, range) {
      const versions = byName.get(name) ?? unknownTool(name, [...byName.keys()]);
      const found = range === undefined ? versions.toSorted(leadingFirst)[0] : versions.find(({ version }) => satisfies(version, range));
      return found ?? unknownVersion(name, range!, versions);
    },
    list: () => [...byName.values()].flat().toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

/** Tools of modules people wrote: each exports `tools`, an array of `defineTool(...)`. Paths (from the working directory) or package names. */
export async function loadTools(modulePaths: string[]): Promise<Tool[]> {
  const loaded = await Promise.all(modulePaths.map(loadModule));
  return loaded.flat();
}

async function loadModule(modulePath: string): Promise<Tool[]> {
  const isFile = /^\.{0,2}[/\\]|^[A-Za-z]:[/\\]|\.[cm]?[jt]s$/.test(modulePath);
  const module: { tools?: unknown } = await import(isFile ? pathToFileURL(path.resolve(modulePath)).href : modulePath);
  if (!Array.isArray(module.tools) || !module.tools.every(isTool))
    throw new Error(`${modulePath} must export \`tools\`: an array of tools made by defineTool().`);
  return module.tools.map((tool) => ({ ...unsaid, ...tool }));
}

/** Of a tool that was made by hand. */
const unsaid = { version: "1.0.0", idempotent: false, short: false };

const isTool = (value: unknown): value is Tool => {
  const tool = value as Partial<Tool> | null;
  return typeof tool?.name === "string" && typeof tool.run === "function" && typeof tool.parse === "function" && isObject(tool.input);
};

const jsonSchemaOf = (schema: z.ZodType, io: "input" | "output"): JsonSchema =>
  z.toJSONSchema(schema, { io, target: "draft-2020-12" }) as JsonSchema;

function parseWithZod(name: string, schema: z.ZodType, args: Json): unknown {
  const parsed = schema.safeParse(args);
  if (parsed.success) return parsed.data;
  throw inputFault(
    name,
    parsed.error.issues.map((issue) => ({ pointer: pointerOf(issue.path), message: issue.message })),
  );
}

function parseWithSchema(name: string, schema: JsonSchema, args: Json): Json {
  const problems = validateValue(schema, args);
  if (problems.length > 0) throw inputFault(name, problems);
  return args;
}

/** Fault `tool_input` that names what does not fit. */
export function inputFault(name: string, problems: { pointer: string; message: string }[]): Fault {
  const first = problems[0]!;
  const errors = problems.slice(0, 20).map(({ pointer, message }) => ({ pointer, message }));
  return new Fault("tool_input", `${name}: ${first.pointer || "/"} ${first.message}`, { extra: { pointer: first.pointer, errors } });
}

const pointerOf = (keys: PropertyKey[]): string =>
  keys.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

function unknownVersion(name: string, range: string, versions: Tool[]): never {
  const there = versions.map(({ version }) => version).join(", ");
  throw new Fault("tool", `No version ${range} of ${name} on this worker. There is: ${there}.`);
}

function unknownTool(name: string, known: string[]): never {
  const namesake = nearest(name, known);
  // No slip of the finger: whatever shares the first word, otherwise everything there is.
  const relatives = known.filter((other) => other.split(".")[0] === name.split(".")[0]);
  const near = namesake ? [namesake] : (relatives.length > 0 ? relatives : known).toSorted().slice(0, 20);
  const listed = near.length === 0 ? "None is registered." : `There is: ${near.join(", ")}.`;
  const hint = namesake ? `Did you mean ${namesake}?` : listed;
  throw new Fault("tool_input", `No tool "${name.slice(0, 80)}". ${hint}`, { extra: { near } });
}
