// Four agents, one budget, a person who decides, and what they remember of it. The YAML says how to run it.
import { z } from "zod";
import { cel, t, workflow } from "../../language/builder.ts";

const input = z.object({
  name: z.string().describe("an npm package that is installed in the project"),
  model: z.string().optional().describe("alias or provider/model; absent: default"),
});
const Facts = z.object({ version: z.string(), facts: z.string().describe("what matters of its facts and its changelog") });
const Risk = z.object({ risk: z.enum(["low", "medium", "high"]), why: z.string().describe("in one or two sentences") });
const Licence = z.object({ licence: z.string(), family: z.enum(["permissive", "weak copyleft", "strong copyleft", "unknown"]) });
const Report = z.object({ verdict: z.enum(["take", "avoid", "undecided"]), summary: z.string().describe("for whoever asked") });

export default workflow(
  "dependency-team",
  {
    version: "1.0.0",
    title: "May we depend on it?",
    description: "Agents look at an npm package one after the other; a person approves the verdict, which the last one remembers.",
    tags: ["example", "supply chain"],
    input,
    budget: { tokens: 400_000, modelCalls: 40, toolCalls: 20, onExceed: "pause" },
    policy: { tools: ["packages/*", "memory.*"], hosts: [] },
  },
  ({ input, agent }) => {
    const model = cel<string>`${input}.?model.orValue("default")`;
    const research = agent("research", {
      model,
      instructions: "You gather facts about npm packages. Look them up; never guess.",
      prompt: t`Look up the facts of this package and read its changelog:\nname: ${input.name}`,
      tools: [
        { server: "packages", tool: "facts" },
        { server: "packages", tool: "changelog" },
      ],
      maxTurns: 8,
      output: Facts,
    });
    const risk = agent("risk", {
      model,
      instructions: "You judge the risk of depending on a package, by its facts alone.",
      prompt: t`Judge the risk of depending on ${input.name} ${research.version}:\n${cel`data(${research.facts})`}`,
      maxTurns: 3,
      output: Risk,
    });
    const licence = agent("licence", {
      model,
      instructions: "You say which licence a package has, and to which family it belongs.",
      prompt: t`Read the licence of this package:\nname: ${input.name}`,
      tools: [{ server: "packages", tool: "licence" }],
      maxTurns: 6,
      output: Licence,
    });
    const report = agent("report", {
      model,
      instructions:
        "You decide whether to take a package. Say where an earlier verdict differs. When the verdict is recorded, remember it in one sentence. " +
        "When a person refuses it, it is undecided.",
      prompt: t`Record a verdict on this package, then remember it in one sentence for later:
name: ${input.name}
reason: its licence is ${licence.licence} (${licence.family}), and the risk of ${research.version} is ${risk.risk}: ${risk.why}`,
      tools: [{ server: "packages", tool: "record" }, "memory.remember"],
      approval: { tools: ["packages/record"], assignees: ["role:reviewer"], expiresAfter: "2d" },
      memory: { subject: input.name, recall: 5, ttl: "365d" },
      maxTurns: 10,
      output: Report,
    });
    return { name: input.name, risk: risk.risk, licence: licence.licence, verdict: report.verdict, summary: report.summary };
  },
);
