// One model call, one person.
import { z } from "zod";
import { t, workflow } from "../language/builder.ts";

export default workflow("greet", { version: "1.0.0", input: z.object({ name: z.string() }) }, ({ input, llm, approval }) => {
  const draft = llm("draft", { prompt: t`Write one line of welcome for ${input.name}.` });
  const gate = approval("gate", { title: t`Send this to ${input.name}?`, payload: draft, expiresAfter: "2d" });
  return { sent: gate.approved, text: draft };
});
