import type Anthropic from "@anthropic-ai/sdk";

type Body = Anthropic.MessageCreateParamsNonStreaming;

const mark = { cache_control: { type: "ephemeral" as const } };

/**
 * Marks behind which Anthropic remembers what it has read, for five minutes; four at most. What is written costs a quarter more, what is read
 * again a tenth: so a conversation is marked that goes on (it has tools), and of a single question only its system prompt, which others share.
 */
export function markCached(body: Body, { goesOn }: { goesOn: boolean }): Body {
  const { system, tools } = body;
  return {
    ...body,
    ...(typeof system === "string" && system.trim() !== "" ? { system: [{ type: "text", text: system, ...mark }] } : {}),
    ...(goesOn && tools ? { tools: [...tools.slice(0, -1), { ...tools.at(-1)!, ...mark }] } : {}),
    ...(goesOn ? { messages: markedTurns(body.messages) } : {}),
  };
}

/** The last turn of the user, and the one before, which the last request has marked: it is found however much came between. */
function markedTurns(turns: Body["messages"]): Body["messages"] {
  const marked = [...turns.keys()].filter((index) => turns[index]!.role === "user").slice(-2);
  return turns.map((turn, index) =>
    marked.includes(index) && turn.role === "user" ? { ...turn, content: markedContent(turn.content) } : turn,
  );
}

function markedContent(content: Anthropic.UserMessageParam["content"]): Anthropic.UserMessageParam["content"] {
  // An empty text takes no mark.
  if (typeof content === "string") return content.trim() === "" ? content : [{ type: "text", text: content, ...mark }];
  const last = content.at(-1);
  // Of the user's there are results alone.
  return last?.type === "tool_result" ? [...content.slice(0, -1), { ...last, ...mark }] : content;
}
