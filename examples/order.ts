import { z } from "zod";
import { cel, t, workflow } from "../language/builder.ts";

const Payment = z.object({ order: z.string(), amount: z.number() });

export default workflow(
  "order",
  {
    version: "1.0.0",
    description: "Waits for its payment, however long ago or late the event comes. Events come over HTTP or from another run (payment).",
    input: z.object({ order: z.string(), amount: z.number() }),
  },
  ({ input, listen, set, wait }) => {
    const paid = listen("paid", {
      one: {
        event: "payment.received",
        schema: Payment,
        when: (event) => cel<boolean>`${event.data}.order == ${input.order} && ${event.data}.amount >= ${input.amount}`,
      },
      timeout: "14d",
      onTimeout: () => set("unpaid", { event: "none", id: "none", data: { order: input.order, amount: 0 } }),
    });
    wait("settle", "250ms");
    return { order: input.order, isPaid: cel<boolean>`${paid.data.amount} > 0`, note: t`${paid.data.amount} by ${paid.id}` };
  },
);
