import { z } from "zod";
import { workflow } from "../language/builder.ts";

export default workflow(
  "enquiry",
  {
    version: "1.0.0",
    description: "Asks an agent by a message and waits for its answer; nobody's answer is an answer of its own.",
    input: z.object({ question: z.string() }),
  },
  ({ input, message, set }) => {
    const ask = message(
      "ask",
      { to: { agent: "front-desk" }, messageType: "question", payload: { question: input.question }, replyTimeout: "10m" },
      { catch: { errors: ["no_reply"], steps: () => set("nobody", { payload: "Nobody answers at the moment." }) } },
    );
    return { answer: ask.payload };
  },
);
