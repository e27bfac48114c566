import { z } from "zod";
import { defineTool } from "../../activities/tool-registry.ts";
import { Fault } from "../../contracts/faults.ts";
import { answerByPath } from "./answers.ts";

const input = z.strictObject({ n: z.unknown() });

/** The far end of random definitions, as tools of a real worker. */
export const tools = [
  defineTool({
    name: "test.number",
    description: "A number from the step's path and its argument.",
    input,
    effect: "read",
    run: (args, { path }) => {
      const answer = answerByPath(path, { tool: "test.number", arguments: args });
      return "output" in answer ? answer.output : null;
    },
  }),
  defineTool({
    name: "test.fail",
    description: "Fails for good.",
    input,
    effect: "read",
    run: () => {
      throw new Fault("tool", "boom", { extra: { retryable: false } });
    },
  }),
];
