import { z } from "zod";
import { t, workflow } from "../language/builder.ts";

export default workflow(
  "press-release",
  {
    version: "1.0.0",
    description: "A model drafts, a person decides, a file is written. Rejected drafts end the run with an error of its own.",
    input: z.object({ notes: z.string(), file: z.string() }),
  },
  ({ input, llm, approval, when, raise, tool }) => {
    const draft = llm("draft", {
      model: "smart",
      prompt: t`Write a press release in three sentences from these notes:\n${input.notes}`,
      guardrails: [
        { name: "secrets", type: "pattern", pattern: "(?i)\\b(confidential|internal only)\\b", on: ["output"], outcome: "retry" },
        { name: "phones", type: "pattern", pattern: "\\+?\\d[\\d ]{6,}\\d", on: ["output"], outcome: "fix", replaceBy: "[number]" },
      ],
    });
    const decision = approval("review", {
      title: t`Publish this as ${input.file}?`,
      payload: { draft },
      assignees: ["role:press"],
      expiresAfter: "7d",
      onExpire: () => raise("late", { type: "not_reviewed", status: 408, detail: "Nobody decided within a week." }),
    });
    when(
      "rejected",
      decision.approved,
      () => tool("publish", "files.writeText", { path: input.file, text: draft }),
      () => raise("refuse", { type: "rejected", status: 409, detail: t`${decision.by} said no: ${decision.comment}` }),
    );
    return { file: input.file, by: decision.by };
  },
);
