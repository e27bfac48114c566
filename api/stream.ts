import { once } from "node:events";
import { createSession, type Session } from "better-sse";
import { terminalStatuses } from "../contracts/events.ts";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { LiveHint } from "../contracts/messages.ts";
import type { LoggedEvent } from "./events.ts";
import type { Answer, Call } from "./route.ts";
import { hasEnded, seeRun } from "./run-view.ts";

const PAGE = 200;
const KEEP_ALIVE_MS = 15_000;
/** A reader that takes nothing for so long is cut off; it comes back with its last number. */
const SLOW_READER_MS = 10_000;
/** A stream of a revoked key ends within this time. */
const RECHECK_MS = 15_000;

interface Source {
  run: string;
  after: number;
  read: (after: number, limit: number) => Promise<LoggedEvent[]>;
}

const terminalTypes = new Set<unknown>(terminalStatuses.map((status) => `run.${status}`));
let clients = 0;

/** Send the run's log as server-sent events until the run ends, the client goes or the process does. */
export async function streamEvents(call: Call, source: Source): Promise<Answer> {
  if (clients >= limits.sseClientsPerProcessMax)
    throw new Fault("unavailable", "This process serves as many streams as it can; try again.");
  clients += 1;
  const watch = call.deps.wakeups.watch(source.run);
  let stopHints = (): void => {};
  try {
    const session = await createSession(call.request, call.response, { keepAlive: KEEP_ALIVE_MS, retry: 1_000 });
    stopHints = call.deps.wakeups.hints(source.run, (hint) => sendHint(call, session, hint));
    await follow(call, { ...source, session, watch });
  } catch (error) {
    // The head is out: a client can only be told to come back.
    call.deps.log.warn({ err: error, requestId: call.requestId }, "stream broke off");
  } finally {
    stopHints();
    watch.close();
    clients -= 1;
    call.response.end();
  }
  return "streamed";
}

type Stream = Source & { session: Session; watch: ReturnType<Call["deps"]["wakeups"]["watch"]> };

async function follow(call: Call, stream: Stream): Promise<void> {
  const isAllowed = rechecking(call);
  let after = stream.after;
  while (!call.signal.aborted && (await isAllowed())) {
    const events = await stream.read(after, PAGE);
    for (const event of events) stream.session.push(event, event.type, String(event.seq));
    after = events.at(-1)?.seq ?? after;
    if (events.some((event) => terminalTypes.has(event.type))) return;
    if (!(await hasDrained(call))) return void call.response.destroy();
    // A whole page: there may be more. An empty one of a run that has ended: nothing will come.
    if (events.length === PAGE) continue;
    if (events.length === 0 && (await isOver(call, { run: stream.run, after }))) return;
    await stream.watch.next({ signal: call.signal });
  }
}

/** Without a number: a reader that comes back goes on after the last event of the log. One that does not keep up is cut off, not waited for. */
function sendHint({ response, signal, deps }: Call, session: Session, message: string): void {
  if (signal.aborted || response.destroyed || response.writableEnded) return;
  if (response.writableLength > limits.sseUnreadBytesMax) return void response.destroy();
  try {
    const { type, ...data } = JSON.parse(message) as LiveHint;
    void session.batch((buffer) => void buffer.event(type).data(data).dispatch());
  } catch (error) {
    deps.log.warn({ err: error }, "a hint cannot be read");
  }
}

async function isOver(call: Call, { run, after }: { run: string; after: number }): Promise<boolean> {
  const seen = await seeRun(call, run);
  return hasEnded(seen) && seen.lastSeq <= after && seen.lastSeq > 0;
}

async function hasDrained({ response, signal }: Call): Promise<boolean> {
  if (!response.writableNeedDrain) return true;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(SLOW_READER_MS)]);
  return once(response, "drain", { signal: limit }).then(
    () => true,
    () => false,
  );
}

function rechecking(call: Call): () => Promise<boolean> {
  let checkedAt = Date.now();
  return async () => {
    if (Date.now() - checkedAt < RECHECK_MS) return true;
    checkedAt = Date.now();
    return call.isStillAllowed();
  };
}
