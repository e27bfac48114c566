/** One server-sent event. */
export interface SentEvent {
  id: string;
  event: string;
  data: string;
}

/** The events of a stream as they arrive. Leaving the loop ends the connection. */
export async function* readStream(response: Response): AsyncGenerator<SentEvent> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const sent = parse(block);
      if (sent.data !== "") yield sent;
    }
  }
}

function parse(block: string): SentEvent {
  const sent: SentEvent = { id: "", event: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (field === "id" || field === "event" || field === "data") sent[field] = value!;
  }
  return sent;
}
