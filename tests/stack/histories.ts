import { Client, Connection } from "@temporalio/client";
import { historyToJSON } from "@temporalio/common/lib/proto-utils";
import { workflowIdOf } from "../../contracts/ids.ts";

export interface Histories {
  sizeOf(tenant: string, run: string): Promise<{ events: number; bytes: number }>;
  jsonOf(tenant: string, run: string): Promise<unknown>;
  close(): Promise<void>;
}

export async function openHistories(address: string): Promise<Histories> {
  const connection = await Connection.connect({ address });
  const { workflow } = new Client({ connection });
  const handleOf = (tenant: string, run: string) => workflow.getHandle(workflowIdOf(tenant, run));
  return {
    async sizeOf(tenant, run) {
      const { historyLength, historySize } = await handleOf(tenant, run).describe();
      return { events: historyLength, bytes: historySize ?? 0 };
    },
    jsonOf: async (tenant, run) => JSON.parse(historyToJSON(await handleOf(tenant, run).fetchHistory())) as unknown,
    close: () => connection.close(),
  };
}
