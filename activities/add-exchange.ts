import type { Activities } from "../contracts/activities.ts";
import type { Brief } from "../contracts/agent-task.ts";
import { resolve } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { briefing } from "./opening.ts";
import { taskOf } from "./conversation.ts";
import type { Threads } from "./threads.ts";
import { Transcripts } from "./transcripts.ts";

/** What people have let pass belongs to its thread like any other answer. */
export function createAddExchange(database: Database, threads: Threads): Activities["addExchange"] {
  return async ({ run: { tenant, id }, brief: hash, transcript, answer }) => {
    const transcripts = new Transcripts(database, tenant);
    const brief = (await transcripts.load(hash)) as unknown as Brief;
    const { content } = taskOf(brief, await transcripts.read(transcript));
    const answered = await resolve(database, tenant, answer);
    await threads.add(brief.thread!, { asked: content, answer: answered, transcript }, briefing(tenant, id));
  };
}
