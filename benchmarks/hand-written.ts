import { ActivityCancellationType, condition, defineSignal, proxyActivities, setHandler } from "@temporalio/workflow";
import type { AgentActivities, AgentEnd, ChatMessage, Times } from "./hand-written-agent.ts";

// The same work as in workloads.ts, as an engineer would write it without us: plain Temporal workflows.
// Timeouts and retries are those that a `tool` step gets when its definition says nothing (contracts/limits.ts).
const { noop } = proxyActivities<{ noop(argument: object): Promise<null> }>({
  startToCloseTimeout: "30 seconds",
  scheduleToCloseTimeout: "10 minutes",
  heartbeatTimeout: "15 seconds",
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { maximumAttempts: 3, initialInterval: "1 second", backoffCoefficient: 2, maximumInterval: "30 seconds" },
});

export async function W1(): Promise<null> {
  for (let step = 0; step < 12; step++) await noop({});
  return null;
}

export async function W2(): Promise<null[]> {
  return Promise.all(Array.from({ length: 50 }, () => noop({})));
}

export async function W3(): Promise<null> {
  let isTold = false;
  setHandler(defineSignal<[object]>("go"), () => void (isTold = true));
  await condition(() => isTold);
  await noop({});
  return noop({});
}

/** W1 that then stays: what a cached run holds is measured on it. */
export async function W1Held(): Promise<null> {
  let isTold = false;
  setHandler(defineSignal<[object]>("go"), () => void (isTold = true));
  for (let step = 0; step < 12; step++) await noop({});
  await condition(() => isTold);
  return null;
}

const { chat, useTool } = proxyActivities<AgentActivities>({
  startToCloseTimeout: "10 minutes",
  scheduleToCloseTimeout: "1 hour",
  retry: { maximumAttempts: 5, initialInterval: "1 second", backoffCoefficient: 2, maximumInterval: "30 seconds" },
});

/** An agent as the SDK's samples have it: a loop, an activity for each call of its model and of a tool. */
export async function Agent(baseUrl: string): Promise<AgentEnd> {
  const messages: ChatMessage[] = [{ role: "user", content: "Work." }];
  const times: Times[] = [];
  for (;;) {
    const { said, ...took } = await chat(baseUrl, messages);
    times.push(took);
    messages.push(said);
    if (!said.tool_calls?.length) return { answer: said.content, times };
    for (const {
      id,
      function: { name },
    } of said.tool_calls) {
      const { output, ...used } = await useTool(name);
      times.push(used);
      messages.push({ role: "tool", tool_call_id: id, content: JSON.stringify(output) });
    }
  }
}
