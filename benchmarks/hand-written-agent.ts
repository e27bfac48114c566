import OpenAI from "openai";

// What the hand-written agent does outside. Each says when it was at work, so that one sees what lies between two of them.

export type ChatMessage =
  | { role: "user"; content: string }
  | {
      role: "assistant";
      content: string | null;
      tool_calls?: { id: string; type: "function"; function: { name: string; arguments: string } }[];
    }
  | { role: "tool"; tool_call_id: string; content: string };

/** Milliseconds since 1970. */
export interface Times {
  startedAt: number;
  endedAt: number;
}

export interface AgentEnd {
  answer: string | null;
  times: Times[];
}

export interface AgentActivities {
  chat(baseUrl: string, messages: ChatMessage[]): Promise<Times & { said: Extract<ChatMessage, { role: "assistant" }> }>;
  useTool(name: string): Promise<Times & { output: null }>;
}

const tools = [
  { type: "function" as const, function: { name: "bench_noop", description: "Does nothing.", parameters: { type: "object" } } },
];

export function agentActivities(): AgentActivities {
  const clients = new Map<string, OpenAI>();
  const clientOf = (baseURL: string): OpenAI => {
    const client = clients.get(baseURL) ?? new OpenAI({ apiKey: "none", baseURL, maxRetries: 0 });
    clients.set(baseURL, client);
    return client;
  };
  return {
    async chat(baseUrl, messages) {
      const startedAt = Date.now();
      const { choices } = await clientOf(baseUrl).chat.completions.create({ model: "bench", messages, tools });
      const { content, tool_calls: calls } = choices[0]!.message;
      const said = {
        role: "assistant" as const,
        content,
        ...(calls ? { tool_calls: calls.filter((call) => call.type === "function") } : {}),
      };
      return { said, startedAt, endedAt: Date.now() };
    },
    async useTool(name) {
      const startedAt = Date.now();
      if (name !== "bench_noop") throw new Error(`There is no tool ${name}.`);
      return { output: null, startedAt, endedAt: Date.now() };
    },
  };
}
