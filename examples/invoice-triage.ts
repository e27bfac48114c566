import { z } from "zod";
import { cel, t, workflow } from "../language/builder.ts";

const Verdict = z.object({ risk: z.number().min(0).max(1), total: z.number(), items: z.array(z.object({ sku: z.string() })).max(20) });

export default workflow(
  "invoice-triage",
  {
    version: "1.0.0",
    description: "Reads an invoice, lets a model assess it, asks finance when it looks doubtful, and comments on each item.",
    input: z.object({ file: z.string().describe("path from the files root"), limit: z.number() }),
    output: z.object({ approved: z.boolean(), notes: z.array(z.string()) }),
  },
  ({ input, tool, llm, approval, when, foreach, set }) => {
    const invoice = tool("extract", "files.readText", { path: input.file, maxBytes: 20_000 });
    const verdict = llm("classify", {
      model: "fast",
      prompt: t`Assess the risk of this invoice from 0 to 1, and read its total and items:\n${cel`data(${invoice["text"]})`}`,
      output: Verdict,
    });
    const decision = when(
      "gate",
      cel<boolean>`${verdict.risk} > 0.7 || ${verdict.total} > ${input.limit}`,
      () =>
        approval("ask", { title: t`Risk ${verdict.risk}, total ${verdict.total}. Pay?`, assignees: ["role:finance"], expiresAfter: "2d" }),
      () => set("auto", { approved: true }),
    );
    const notes = foreach(
      "annotate",
      verdict.items,
      (item) => llm("note", { model: "cheap", prompt: t`Comment on this item of an invoice: ${item.sku}` }),
      { concurrency: 4 },
    );
    return { approved: decision.approved, notes };
  },
);
