import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** One thing a server did on demand. What is not said is the server's normal answer. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** Sent as it is. */
  body?: string | Buffer;
  /** Sent instead of `body`, one after the other, with this time between them. */
  pieces?: string[];
  pauseMs?: number;
  /** Told of each piece when it has been sent. */
  onPiece?: (piece: string) => void;
  delayMs?: number;
  /** Held back until this resolves. */
  until?: Promise<void>;
  /** The second half of its pieces is held back until this resolves. */
  halfUntil?: Promise<void>;
  /** Break the connection: before an answer, or in the middle of its body. */
  cut?: "before" | "middle";
}

export interface Recorded {
  time: number;
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

export interface ScriptedServer {
  /** `http://127.0.0.1:port` */
  url: string;
  port: number;
  requests: Recorded[];
  close(): Promise<void>;
}

/** An HTTP server on a free port (or the given one) that records every request before it answers. */
export async function startServer(answer: (request: Recorded) => Reply, port = 0): Promise<ScriptedServer> {
  const requests: Recorded[] = [];
  const server = createServer((request, response) => {
    serve(request, response, requests, answer).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  // Who comes back late would meet it in the moment in which it hangs up.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  requests: Recorded[],
  answer: (request: Recorded) => Reply,
): Promise<void> {
  const recorded = await record(request);
  requests.push(recorded);
  const reply = answer(recorded);
  await reply.until;
  if (reply.delayMs) await sleep(reply.delayMs, undefined, { ref: false });
  if (reply.cut === "before") return void request.socket.destroy();
  if (reply.pieces) return stream(request, response, reply.pieces, reply);
  const body = Buffer.from(reply.body ?? "");
  response.writeHead(reply.status ?? 200, { "content-length": String(body.byteLength), ...reply.headers });
  if (reply.cut !== "middle") return void response.end(body);
  response.write(body.subarray(0, Math.floor(body.byteLength / 2)), () => request.socket.destroy());
}

async function stream(request: IncomingMessage, response: ServerResponse, pieces: string[], reply: Reply): Promise<void> {
  response.writeHead(reply.status ?? 200, { ...reply.headers });
  response.flushHeaders();
  const sent = reply.cut === "middle" ? pieces.slice(0, Math.ceil(pieces.length / 2)) : pieces;
  for (const [index, piece] of sent.entries()) {
    if (index === Math.floor(sent.length / 2)) await reply.halfUntil;
    response.write(piece);
    reply.onPiece?.(piece);
    if (reply.pauseMs) await sleep(reply.pauseMs, undefined, { ref: false });
    if (request.socket.destroyed) return;
  }
  if (reply.cut === "middle") request.socket.destroy();
  else response.end();
}

async function record(request: IncomingMessage): Promise<Recorded> {
  const time = Date.now();
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  return { time, method: request.method ?? "", path: request.url ?? "", headers, body: Buffer.concat(chunks).toString() };
}
