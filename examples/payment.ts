import { z } from "zod";
import { workflow } from "../language/builder.ts";

export default workflow(
  "payment",
  {
    version: "1.0.0",
    description: "Tells a waiting run (order) that its money has come.",
    input: z.object({ run: z.string().describe("id of the run that waits"), order: z.string(), amount: z.number() }),
  },
  ({ input, emit, set }) => {
    emit("tell", { event: "payment.received", to: input.run, data: { order: input.order, amount: input.amount } });
    return set("told", { run: input.run });
  },
);
