import { z } from "zod";
import { t, workflow } from "../language/builder.ts";

const Finding = z.object({ file: z.string(), finding: z.string() });

export default workflow(
  "file-clerk",
  {
    version: "1.0.0",
    description: "An agent that looks through a folder of files for what somebody wants to know, and asks a person when it is in doubt.",
    input: z.object({ question: z.string(), folder: z.string() }),
  },
  ({ input, agent }) => {
    const finding = agent("clerk", {
      model: "smart",
      instructions: "You look things up in files. Read before you answer, say in which file it stands, and never guess.",
      prompt: t`${input.question} Look in the folder ${input.folder}.`,
      tools: ["files.list", "files.readText", "ask_human"],
      approval: { tools: ["files.readText"], assignees: ["role:archive"], expiresAfter: "1d" },
      maxTurns: 10,
      output: Finding,
    });
    return { file: finding.file, finding: finding.finding };
  },
);
