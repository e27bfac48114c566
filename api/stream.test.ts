import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import type { Redis } from "ioredis";
import { pino } from "pino";
import { limits } from "../contracts/limits.ts";
import { liveChannel } from "../contracts/messages.ts";
import type { Call } from "./route.ts";
import { streamEvents } from "./stream.ts";
import { makeWakeups } from "./wakeups.ts";

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

// A run that says one more thing each time it is looked at, and never ends.
const source = { run: "r_1", after: 0, read: async (after: number) => [{ seq: after + 1, type: "step.started" }] };

test("a reader that takes nothing is cut off when it has more live words before it than it may, and they are not kept for it", async () => {
  const redis = new Subscriber();
  const wakeups = makeWakeups(redis as unknown as Redis);
  const server = createServer((request, response) => {
    const closed = new AbortController();
    response.on("close", () => closed.abort());
    const deps = { wakeups, log: pino({ level: "silent" }) };
    // What a stream uses of a call.
    const call = { deps, request, response, requestId: "q_1", signal: closed.signal, isStillAllowed: async () => true } as unknown as Call;
    void streamEvents(call, source);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
  await once(client, "readable");
  client.on("error", () => undefined).pause();
  closing.push(
    () => client.destroy(),
    () => server.close().closeAllConnections(),
  );
  let bytes = 0;
  const hint = JSON.stringify({ type: "model.delta", step: "say", attempt: 1, call: 0, index: 0, kind: "text", text: "x".repeat(65_536) });
  while (redis.channels.has(liveChannel("r_1")) && bytes < 64 * limits.sseUnreadBytesMax) {
    redis.emit("message", liveChannel("r_1"), hint);
    bytes += hint.length;
    await new Promise((soon) => setImmediate(soon));
  }
  // What the operating system holds for it comes on top.
  expect(bytes).toBeLessThan(32 * limits.sseUnreadBytesMax);
  expect(redis.channels.size).toBe(0);
});

/** The part of a Redis connection that is listened to. */
class Subscriber extends EventEmitter {
  readonly status = "ready";
  readonly channels = new Set<string>();
  subscribe = async (channel: string): Promise<void> => void this.channels.add(channel);
  unsubscribe = async (channel: string): Promise<void> => void this.channels.delete(channel);
}
