import { z } from "zod";
import { paged, text as someText, time } from "./api.schema.ts";
import { duration } from "./definition-fields.schema.ts";
import { limits } from "./limits.ts";

/** What the API says of agents' memories and threads. */

const subject = someText(limits.memorySubjectMax);

export const addMemorySchema = z
  .strictObject({
    text: someText(limits.memoryTextMax).meta({ description: "One fact, in words that can be understood alone." }),
    subject: subject.optional().meta({ description: "Whom or what it is about." }),
    ttl: duration.optional().meta({ description: "How long it is remembered; a year without it." }),
  })
  .meta({ id: "AddMemory" });
export type AddMemory = z.output<typeof addMemorySchema>;

export const purgeMemoriesSchema = z
  .strictObject({
    subject: subject.optional().meta({ description: "What is about it." }),
    all: z.literal(true).optional().meta({ description: "Everything the agent remembers." }),
  })
  .refine((given) => (given.subject === undefined) === (given.all === true), {
    error: "Say what is to be forgotten: `subject`, or `all: true`.",
  })
  .meta({ id: "PurgeMemories" });
export type PurgeMemories = z.output<typeof purgeMemoriesSchema>;

export const purgedSchema = z.object({ forgotten: z.int() }).meta({ id: "PurgedMemories", description: "How many there were." });

const memoryFields = {
  id: z.string(),
  text: z.string(),
  subject: z.string().nullable(),
  writtenBy: z.string().meta({ description: "Who wrote it, or started the run that did." }),
  runId: z.string().nullable().meta({ description: "null: written over the API." }),
  step: z.string().nullable(),
  writtenAt: time,
  expiresAt: time,
};

export const memorySchema = z.object(memoryFields).meta({ id: "Memory", description: "What an agent remembers beyond a conversation." });

export const memoryPageSchema = paged("MemoryPage", memorySchema);

export const foundMemoriesSchema = z
  .object({
    data: z.array(
      z
        .object({ ...memoryFields, rank: z.number().meta({ description: "How well it fits, among the others." }) })
        .meta({ id: "FoundMemory" }),
    ),
    byMeaning: z.boolean().meta({ description: "Whether memories that mean alike were looked for, too; else by words alone." }),
  })
  .meta({ id: "FoundMemories", description: "Best match first." });

export const threadPageSchema = paged(
  "ThreadPage",
  z
    .object({ thread: z.string(), exchanges: z.int().meta({ description: "Number of the newest." }), lastAt: time })
    .meta({ id: "ThreadSummary", description: "A conversation that tasks of an agent go on with." }),
);

export const exchangePageSchema = paged(
  "ExchangePage",
  z
    .object({
      number: z.int(),
      asked: z.string(),
      answered: z.string(),
      runId: z.string(),
      step: z.string(),
      at: time,
    })
    .meta({ id: "Exchange", description: "What one task was asked and what it answered." }),
);
