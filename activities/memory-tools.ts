import { z } from "zod";
import type { MemoryScope } from "../contracts/agent-task.ts";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject, JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Database } from "../prisma/client.ts";
import { forgetMemory, remember, type Memory } from "../prisma/memories.ts";
import type { Embeddings } from "./embeddings.ts";
import { defineTool, type Tool } from "./tool-registry.ts";
import type { WorkContext } from "./work.ts";

/** What an agent remembers beyond a conversation. Each reaches the memories of the agent that calls it, and no others. */
export const createMemoryTools = (deps: Deps): Tool[] => [rememberTool(deps), searchTool(deps), forgetTool(deps)];

interface Deps {
  database: Database;
  embeddings: Embeddings;
}

export const isMemoryTool = (name: string): boolean => name.startsWith("memory.");

/** Its arguments, as the model is told of them: where the task is about one subject there is none to choose. */
export function memoryParameters({ properties, ...input }: JsonSchema, scope: MemoryScope): JsonSchema {
  const { subject: _, ...others } = properties as JsonObject;
  return { ...input, properties: scope.subject === undefined ? properties : others } as JsonSchema;
}

const subject = z.string().min(1).max(limits.memorySubjectMax).optional().describe("Whom or what it is about, such as a customer's id.");

const rememberTool = ({ database, embeddings }: Deps): Tool =>
  defineTool({
    name: "memory.remember",
    description: "Remember something for later tasks: one fact in a sentence that can be understood without this conversation.",
    input: z.strictObject({ text: z.string().trim().min(1).max(limits.memoryTextMax), subject }),
    output: z.strictObject({ id: z.string(), expiresAt: z.string() }),
    effect: "write",
    idempotent: true,
    async run({ text, subject: about }, context) {
      const scope = scopeOf(context);
      const { tenant, idempotencyKey: key, runId, path } = context;
      const memory = { tenant, agent: scope.owner, text, subject: subjectIn(scope, about), ttlMs: scope.ttlMs, key, runId, path };
      const { id, expiresAt } = await remember(database, memory);
      await embeddings.ofWritten(id, context, context.timeoutMs / 2);
      return { id, expiresAt: expiresAt.toISOString() };
    },
  });

const searchTool = ({ embeddings }: Deps): Tool =>
  defineTool({
    name: "memory.search",
    description: "Search what you have remembered in earlier tasks, by words and, where that is set up, by meaning. Best match first.",
    input: z.strictObject({
      text: z.string().min(1).max(limits.memoryQueryMax),
      subject,
      max: z.int().min(1).max(limits.memoriesFoundMax).default(10),
    }),
    effect: "read",
    short: true,
    async run({ text, subject: about, max }, context) {
      const scope = scopeOf(context);
      const filter = { tenant: context.tenant, agent: scope.owner, subject: subjectIn(scope, about), andGeneral: true as const };
      return { memories: (await embeddings.search(filter, { text, max }, context)).map(recalled) };
    },
  });

const forgetTool = ({ database }: Deps): Tool =>
  defineTool({
    name: "memory.forget",
    description: "Forget something you have remembered, by its id, when it is wrong or out of date.",
    input: z.strictObject({ id: z.string().min(1).max(100) }),
    output: z.strictObject({ forgotten: z.boolean() }),
    effect: "write",
    idempotent: true,
    async run({ id }, context) {
      const { owner, subject: about } = scopeOf(context);
      const { tenant, runId } = context;
      return { forgotten: await forgetMemory(database, id, { tenant, agent: owner, subject: about, by: owner, runId }) };
    },
  });

/** A memory, as a model sees it. */
export const recalled = ({ id, text, subject: about, writtenBy, writtenAt }: Memory) => ({
  id,
  text,
  ...(about === null ? {} : { subject: about }),
  by: writtenBy,
  at: writtenAt.toISOString(),
});

function scopeOf({ memory }: WorkContext): MemoryScope {
  if (memory) return memory;
  throw new Fault("tool_input", "Memory tools belong to an agent: name them in an agent's `tools`. Over the API use its `memories`.");
}

/** A task about one subject reaches no other. */
function subjectIn(scope: MemoryScope, wanted: string | undefined): string | undefined {
  if (scope.subject === undefined || wanted === undefined || wanted === scope.subject) return scope.subject ?? wanted;
  throw new Fault("tool_input", "This task is about another subject; leave `subject` out.", { extra: { pointer: "/subject" } });
}
