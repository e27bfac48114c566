import net from "node:net";

export interface StackPorts {
  api: number;
  temporal: number;
  temporalUi: number;
  postgres: number;
  redis: number;
}

/**
 * Ports nobody uses now, for stacks beside the one on the fixed ports: tests, benchmarks. Below those that systems give to whoever
 * connects or asks for any: in the second until a server takes its own, somebody else would now and then be given it.
 */
export async function freePorts(): Promise<StackPorts> {
  const found: number[] = [];
  while (found.length < 5) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    if (!found.includes(port) && (await isFree(port))) found.push(port);
  }
  const [api, temporal, temporalUi, postgres, redis] = found;
  return { api: api!, temporal: temporal!, temporalUi: temporalUi!, postgres: postgres!, redis: redis! };
}

/** Which variable moves a part to another port. */
export const portVariables: Record<keyof StackPorts, string> = {
  api: "PORT",
  temporal: "TENUTO_TEMPORAL_PORT",
  temporalUi: "TENUTO_TEMPORAL_UI_PORT",
  postgres: "TENUTO_POSTGRES_PORT",
  redis: "TENUTO_REDIS_PORT",
};

export const isFree = async (port: number): Promise<boolean> => {
  try {
    const server = await listen(port);
    await new Promise((closed) => server.close(closed));
    return true;
  } catch {
    return false;
  }
};

/** One clear sentence instead of whatever the server would say about a port that is taken. */
export async function requireFree(part: keyof StackPorts, ports: StackPorts): Promise<void> {
  if (await isFree(ports[part])) return;
  throw new Error(`Port ${ports[part]} is in use. Stop what uses it, or set ${portVariables[part]} to another port.`);
}

/** Resolves when something accepts connections there. */
export async function untilOpen(port: number, signal: AbortSignal): Promise<void> {
  while (!(await accepts(port))) {
    signal.throwIfAborted();
    await new Promise((later) => setTimeout(later, 20));
  }
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    const settle = (open: boolean) => {
      socket.destroy();
      answer(open);
    };
    socket.once("connect", () => settle(true)).once("error", () => settle(false));
  });

const listen = (port: number): Promise<net.Server> =>
  new Promise((listening, failed) => {
    const server = net.createServer();
    server.once("error", failed).listen(port, "127.0.0.1", () => listening(server));
  });
