import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { Redis } from "ioredis";
import { liveChannel, logNews, mayHaveEnded, runChannel } from "../contracts/messages.ts";
import { makeWakeups } from "./wakeups.ts";

const never = new AbortController().signal;

beforeEach(() => void jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] }));
afterEach(() => void jest.useRealTimers());

test("news that comes between reading and waiting is not slept through", async () => {
  const redis = new Subscriber();
  const watch = makeWakeups(redis.asRedis()).watch("r_1");
  redis.say("r_1");
  expect(await isOver(watch.next({ signal: never }))).toBe(true);
});

test("who waits for the run's end sleeps through what comes before it, and not through what says nothing of it", async () => {
  const redis = new Subscriber();
  const watch = makeWakeups(redis.asRedis()).watch("r_1", mayHaveEnded);
  const wakes = async (news: string): Promise<boolean> => {
    redis.say("r_1", news);
    const wait = watch.next({ signal: never, deadline: Date.now() + 200 });
    const hasWoken = await isOver(wait);
    jest.advanceTimersByTime(200);
    await wait;
    return hasWoken;
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
  const stop = new AbortController();
  const polled = watch.next({ signal: never });
  jest.advanceTimersByTime(499);
  expect(await isOver(polled)).toBe(false);
  jest.advanceTimersByTime(1);
  expect(await isOver(polled)).toBe(true);
  const dated = watch.next({ signal: never, deadline: Date.now() + 50 });
  jest.advanceTimersByTime(50);
  expect(await isOver(dated)).toBe(true);
  const left = watch.next({ signal: stop.signal });
  expect(await isOver(left)).toBe(false);
  stop.abort();
  expect(await isOver(left)).toBe(true);
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

/** Without a wait for anything else. */
async function isOver(wait: Promise<void>): Promise<boolean> {
  let over = false;
  void wait.then(() => (over = true));
  await new Promise((soon) => setImmediate(soon));
  return over;
}
