import { startServer, type Recorded, type Reply, type ScriptedServer } from "./scripted-server.ts";

export interface LedgerServer extends ScriptedServer {
  /** The next answers for a path (without its query), in order; afterwards it answers normally again. */
  script(path: string, ...replies: Reply[]): void;
  /** What was asked of a path (without its query). */
  calls(path: string): Recorded[];
  /** Distinct idempotency keys that a path has seen: how often the effect truly happened at a server that honours them. */
  keys(path: string): string[];
  /** Hold back the answers of paths that fit, until they are released. */
  hold(fits: (path: string) => boolean): Hold;
}

export interface Hold {
  /** How many wait for their answer, or have waited. */
  count: () => number;
  release: () => void;
}

/**
 * The outside world for tests: a server that keeps a ledger of every request. Unscripted requests are answered with
 * 200 and `{ "n": <how many this path has seen>, "method", "path", "body" }`; below `/seen` it tells what it has answered to a key.
 */
export async function startLedgerServer(options: { port?: number } = {}): Promise<LedgerServer> {
  const scripts = new Map<string, Reply[]>();
  const gates = new Set<Gate>();
  const server = await startServer((request) => {
    const scripted = scripts.get(pathOf(request))?.shift();
    const gate = [...gates].find(({ fits }) => fits(pathOf(request)));
    if (gate) gate.count += 1;
    const reply = pathOf(request).endsWith(SEEN) ? seenReply(request, calls(pathOf(request).slice(0, -SEEN.length))) : undefined;
    return { ...(reply ?? normalReply(request, calls(pathOf(request)).length)), ...(gate ? { until: gate.opened } : {}), ...scripted };
  }, options.port);
  const calls = (path: string): Recorded[] => server.requests.filter((request) => pathOf(request) === path);
  return {
    ...server,
    script: (path, ...replies) => void scripts.set(path, [...(scripts.get(path) ?? []), ...replies]),
    calls,
    hold(fits) {
      let open = (): void => undefined;
      const gate: Gate = { fits, count: 0, opened: new Promise((opened) => (open = opened)) };
      gates.add(gate);
      const release = (): void => {
        gates.delete(gate);
        open();
      };
      return { count: () => gate.count, release };
    },
    keys: (path) => [...new Set(calls(path).map((request) => request.headers["idempotency-key"] ?? ""))],
  };
}

interface Gate {
  fits: (path: string) => boolean;
  count: number;
  opened: Promise<void>;
}

const pathOf = (request: Recorded): string => request.path.split("?")[0]!;

const SEEN = "/seen";

/** `{ seen }`: what the first request of the same key at the path before `/seen` was answered; null when there was none. */
function seenReply(request: Recorded, before: Recorded[]): Reply {
  const n = before.findIndex(({ headers }) => headers["idempotency-key"] === request.headers["idempotency-key"]);
  return jsonReply({ seen: n < 0 ? null : answerTo(before[n]!, n + 1) });
}

function normalReply(request: Recorded, n: number): Reply {
  return jsonReply(answerTo(request, n));
}

const answerTo = ({ method, path, body }: Recorded, n: number) => ({ n, method, path, body });

const jsonReply = (value: object): Reply => ({ status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(value) });
