import { ApplicationFailure, Context } from "@temporalio/activity";
import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { FOREIGN_QUEUE } from "./protocol.ts";

/** Somebody else's worker on a queue of its own: it knows nothing of us. */
export async function startForeignWorker(address: string): Promise<{ stop: () => Promise<void> }> {
  Runtime.install({ logger: new DefaultLogger("ERROR"), shutdownSignals: [] });
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({ connection, taskQueue: FOREIGN_QUEUE, activities, shutdownGraceTime: 0 });
  const running = worker.run();
  return {
    async stop() {
      worker.shutdown();
      await running;
      await connection.close();
    },
  };
}

const activities = {
  add: async (...numbers: number[]): Promise<number> => numbers.reduce((sum, number) => sum + number, 0),
  greet: async ({ name }: { name: string }): Promise<{ text: string }> => ({ text: `Hello ${name}` }),
  bigText: async (bytes: number): Promise<string> => "x".repeat(bytes),
  refuse: async (): Promise<never> => {
    throw ApplicationFailure.nonRetryable("The card is not ours.", "CardUnknown");
  },
  stumble: async (): Promise<number> => {
    const { attempt } = Context.current().info;
    if (attempt < 3) throw new Error("not yet");
    return attempt;
  },
};
