import { EventEmitter } from "node:events";
import { expect, test } from "@jest/globals";
import type { Redis } from "ioredis";
import { liveChannel, logNews, mayHaveEnded, runChannel } from "../contracts/messages.ts";
import { makeWakeups } from "./wakeups.ts";

const never = new AbortController().signal;

test("news that comes between reading and waiting is not slept through", async () => {
  const redis = new Subscriber();
  const watch = makeWakeups(redis.asRedis()).watch("r_1");
  redis.say("r_1");
  expect(await elapsed(() => watch.next({ signal: never }))).toBeLessThan(100);
});

test("who waits for the run's end sleeps through what comes before it, and not through what says nothing of it", async () => {
  const redis = new Subscriber();
  const watch = makeWakeups(redis.asRedis()).watch("r_1", mayHaveEnded);
  const wakes = async (news: string): Promise<boolean> => {
    redis.say("r_1", news);
    return (await elapsed(() => watch.next({ signal: never, deadline: Date.now() + 200 }))) < 100;
  };
  // Having subscribed is news, too.
  await watch.next({ signal: never });
  expect(await wakes(logNews(7, "running"))).toBe(false);
  expect(await wakes(logNews(8, "completed"))).toBe(true);
  expect(await wakes("9")).toBe(true);
});

test("one subscription serves all readers of a run and ends with the last", () => {
  const redis = new Subscriber();
  const wakeups = makeWakeups(redis.asRedis());
  const watches = [wakeups.watch("r_1"), wakeups.watch("r_1")];
  expect(redis.channels).toEqual([runChannel("r_1")]);
  watches[0]!.close();
  expect(redis.channels).toEqual([runChannel("r_1")]);
  watches[1]!.close();
  expect(redis.channels).toEqual([]);
});

test("what happens in a run and is not kept reaches those who watch that run, and nobody any more when they leave", () => {
  const redis = new Subscriber();
  const wakeups = makeWakeups(redis.asRedis());
  const heard: string[] = [];
  const leave = wakeups.hints("r_1", (hint) => heard.push(hint));
  wakeups.hints("r_2", () => heard.push("of another run"));
  redis.emit("message", liveChannel("r_1"), "word");
  leave();
  redis.emit("message", liveChannel("r_1"), "late");
  expect(heard).toEqual(["word"]);
  expect(redis.channels).toEqual([liveChannel("r_2")]);
});

test("without Redis a wait ends at the poll interval, at its deadline or when nobody listens any more", async () => {
  const watch = makeWakeups().watch("r_1");
  expect(await elapsed(() => watch.next({ signal: never }))).toBeGreaterThan(450);
  expect(await elapsed(() => watch.next({ signal: never, deadline: Date.now() + 50 }))).toBeLessThan(300);
  expect(await elapsed(() => watch.next({ signal: AbortSignal.timeout(50) }))).toBeLessThan(300);
});

class Subscriber extends EventEmitter {
  readonly status = "ready";
  channels: string[] = [];

  async subscribe(channel: string): Promise<void> {
    this.channels.push(channel);
  }

  async unsubscribe(channel: string): Promise<void> {
    this.channels = this.channels.filter((each) => each !== channel);
  }

  say(run: string, news = "7"): void {
    this.emit("message", runChannel(run), news);
  }

  asRedis = (): Redis => this as unknown as Redis;
}

async function elapsed(act: () => Promise<void>): Promise<number> {
  const from = Date.now();
  await act();
  return Date.now() - from;
}
