import { z } from "zod";
import { cel, t, workflow } from "../language/builder.ts";

const Vote = z.object({ category: z.enum(["billing", "technical", "shipping", "other"]) });

export default workflow(
  "second-opinion",
  {
    version: "1.0.0",
    description: "Three models sort a ticket; the first two answers decide, the third is cancelled. When they differ a third one is asked.",
    budget: { tokens: 100_000, modelCalls: 20 },
    input: z.object({ ticket: z.string() }),
  },
  ({ input, llm, parallel, set, when }) => {
    const prompt = t`Sort this ticket into a category:\n${cel`data(${input.ticket})`}`;
    const votes = parallel(
      "votes",
      {
        fast: () => llm("vote", { model: "fast", prompt, output: Vote }),
        smart: () => llm("vote", { model: "smart", prompt, output: Vote }),
        cheap: () => llm("vote", { model: "cheap", prompt, output: Vote }),
      },
      { join: "quorum", quorum: 2 },
    );
    const said = set("said", cel<string[]>`values(${votes}).filter(vote, vote != null).map(vote, vote.category)`);
    const agreed = when(
      "agreed",
      cel<boolean>`size(unique(${said})) == 1`,
      () => set("same", { category: cel<string>`first(${said})` }),
      () =>
        llm("decide", {
          prompt: t`Two readers differ (${said}). Sort this ticket into a category:\n${cel`data(${input.ticket})`}`,
          output: Vote,
        }),
    );
    return { category: agreed.category, votes: said };
  },
);
