import type { Server } from "node:http";
import net from "node:net";

/** For so long a client may use the connection that it has, and is told to take another. */
const LINGER_MS = 500;
const SHUTDOWN_MS = 5_000;

/**
 * End a server without cutting anybody off: what is at work gets its answer, and so does a request that is on its way over a connection that was
 * kept alive, which http's own `close` ends at once.
 */
export async function close(server: Server): Promise<void> {
  server.prependListener("request", (_, response) => response.setHeader("Connection", "close"));
  const ended = new Promise<void>((resolve) => net.Server.prototype.close.call(server, () => resolve()));
  let idle: NodeJS.Timeout | undefined;
  // From then on kept-alive connections end as soon as they are idle.
  const lingered = setTimeout(() => (idle = setInterval(() => server.closeIdleConnections(), 50)), LINGER_MS);
  const late = setTimeout(() => server.closeAllConnections(), SHUTDOWN_MS);
  await ended;
  clearTimeout(lingered);
  clearInterval(idle);
  clearTimeout(late);
}
