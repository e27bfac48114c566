import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";

/** The driver's own: a socket that speaks Postgres' protocol. */
export interface Wire extends EventEmitter {
  stream: Duplex;
  ssl: unknown;
  sslNegotiation: string;
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

/** Who is at work, and where. */
export interface AtWork {
  host: string;
  port: number;
  processID: number;
  secretKey: number;
  connection: Wire;
}

/**
 * Ask Postgres to end what a connection is at: a backend notices that its client is gone only when it has something to say to it.
 * Over a connection of its own, as the protocol wants it; nobody answers. Should it come to nothing, the statement's own timeout is left.
 */
export function sendCancelRequest({ host, port, processID, secretKey, connection }: AtWork): void {
  const { ssl, sslNegotiation } = connection;
  const Wire = connection.constructor as new (options: Pick<Wire, "ssl" | "sslNegotiation">) => Wire;
  const wire = new Wire({ ssl, sslNegotiation });
  const giveUp = setTimeout(() => wire.stream.destroy(), GIVE_UP_MS).unref();
  wire.on("error", () => wire.stream.destroy());
  wire.once("end", () => clearTimeout(giveUp));
  const ask = (): void => wire.cancel(processID, secretKey);
  wire.once("connect", () => {
    if (!ssl) ask();
    else if (sslNegotiation !== "direct") wire.requestSsl();
  });
  wire.once("sslconnect", ask);
  if (host.startsWith("/")) wire.connect(`${host}/.s.PGSQL.${port}`);
  else wire.connect(port, host);
}

const GIVE_UP_MS = 5_000;
