import { startServer, type Recorded, type Reply, type ScriptedServer } from "./scripted-server.ts";

export interface LedgerServer extends ScriptedServer {
  /** The next answers for a path (without its query), in order; afterwards it answers normally again. */
  script(path: string, ...replies: Reply[]): void;
  /** What was asked of a path (without its query). */
  calls(path: string): Recorded[];
  /** Distinct idempotency keys that a path has seen: how often the effect truly happened at a server that honours them. */
  keys(path: string): string[];
}

/**
 * The outside world for tests: a server that keeps a ledger of every request. Unscripted requests are answered with
 * 200 and `{ "n": <how many this path has seen>, "method", "path", "body" }`.
 */
export async function startLedgerServer(options: { port?: number } = {}): Promise<LedgerServer> {
  const scripts = new Map<string, Reply[]>();
  const server = await startServer((request) => {
    const scripted = scripts.get(pathOf(request))?.shift();
    return { ...normalReply(request, calls(pathOf(request)).length), ...scripted };
  }, options.port);
  const calls = (path: string): Recorded[] => server.requests.filter((request) => pathOf(request) === path);
  return {
    ...server,
    script: (path, ...replies) => void scripts.set(path, [...(scripts.get(path) ?? []), ...replies]),
    calls,
    keys: (path) => [...new Set(calls(path).map((request) => request.headers["idempotency-key"] ?? ""))],
  };
}

const pathOf = (request: Recorded): string => request.path.split("?")[0]!;

function normalReply(request: Recorded, n: number): Reply {
  const body = JSON.stringify({ n, method: request.method, path: request.path, body: request.body });
  return { status: 200, headers: { "content-type": "application/json" }, body };
}
