import { z } from "zod";
import { t, workflow } from "../language/builder.ts";

const Topics = z.object({ topics: z.array(z.string()).min(1).max(5) });

export default workflow(
  "briefing",
  {
    version: "1.0.0",
    description: "A text's topics, found once for each text; then a briefing that is seen while it is written, by whichever model answers.",
    input: z.object({ text: z.string() }),
  },
  ({ input, llm }) => {
    const found = llm("topics", { model: "cheap", prompt: t`Name the topics:\n\n${input.text}`, cache: { ttl: "7d" }, output: Topics });
    const briefing = llm("briefing", {
      model: "smart",
      fallbacks: ["fast", "local/extractive"],
      messages: [
        { role: "system", content: "You brief busy people: five sentences at most." },
        { role: "user", content: t`Brief me on ${found.topics}:\n\n${input.text}` },
      ],
      stream: true,
    });
    return { topics: found.topics, briefing };
  },
);
