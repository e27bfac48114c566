import { lookup as dnsLookup, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { Fault } from "../contracts/faults.ts";
import { isPublicAddress } from "./egress-address.ts";

/** Where outbound calls of definitions may go: the public internet, and the hosts an operator allows. */
export interface Egress {
  /** Connects only to what is allowed; checked again on the connected socket. */
  dispatcher: Dispatcher;
  /** Fault `policy` for a URL that can never be called. Names are checked when they are resolved. */
  check(url: URL): void;
  close(): Promise<void>;
}

/** One per process: it keeps connections open. `allow`: names or `name:port`, exempt from the address check. */
export function createEgress(options: { allow: string[]; lookup?: LookupFunction }): Egress {
  const isAllowed = createAllowList(options.allow);
  const open = buildConnector({ timeout: CONNECT_TIMEOUT_MS });
  const guarded = buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: guardLookup(options.lookup ?? dnsLookup) });
  const connect: buildConnector.connector = (target, callback) => {
    if (isAllowed(target.hostname, portOf(target.port, target.protocol))) return open(target, callback);
    const refused = refusalOfName(target.hostname);
    if (refused) return callback(refused, null);
    guarded(target, (...[error, socket]) => {
      if (error) return callback(error, null);
      const address = socket.remoteAddress;
      // A resolver that answers differently the second time is caught here, before a byte is sent.
      if (address !== undefined && isPublicAddress(address)) return callback(null, socket);
      socket.destroy();
      callback(refusal(target.hostname, address), null);
    });
  };
  // Limits of time are the step's.
  const dispatcher = new Agent({ connect, headersTimeout: 0, bodyTimeout: 0 });
  return { dispatcher, check: (url) => checkUrl(url, isAllowed), close: () => dispatcher.close() };
}

const CONNECT_TIMEOUT_MS = 10_000;

type AllowList = (hostname: string, port: string) => boolean;

function createAllowList(allow: string[]): AllowList {
  const entries = new Set(allow.map((entry) => bare(entry)));
  return (hostname, port) =>
    entries.has(bare(hostname)) || entries.has(bare(`${bare(hostname)}:${port}`)) || entries.has(`[${bare(hostname)}]:${port}`);
}

function checkUrl(url: URL, isAllowed: AllowList): void {
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new Fault("policy", `Only http and https are called, not ${url.protocol}`);
  if (url.username !== "" || url.password !== "") throw new Fault("policy", "Credentials do not belong into a URL; send them as a header.");
  const refused = isAllowed(url.hostname, portOf(url.port, url.protocol)) ? undefined : refusalOfName(url.hostname);
  if (refused) throw refused;
}

/** What can be refused without asking a resolver; Node asks none for literal addresses. */
function refusalOfName(hostname: string): Fault | undefined {
  const name = bare(hostname);
  if (name === "localhost" || name.endsWith(".localhost")) return refusal(name);
  return isIP(name) !== 0 && !isPublicAddress(name) ? refusal(name) : undefined;
}

/** A resolver that gives nothing when one of a name's addresses is not public: the connection might take that one. */
function guardLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, options, (error, address, family) => {
      if (error) return callback(error, address, family);
      const addresses: string[] = typeof address === "string" ? [address] : address.map((entry: LookupAddress) => entry.address);
      const inside = addresses.find((candidate) => !isPublicAddress(candidate));
      if (inside === undefined && addresses.length > 0) return callback(null, address, family);
      callback(refusal(hostname, inside), address, family);
    });
}

function refusal(hostname: string, address?: string): Fault {
  const where = address === undefined || address === hostname ? hostname : `${hostname} (${address})`;
  return new Fault("policy", `${where} is not on the public internet. An operator can allow it: TENUTO_HTTP_ALLOW=${hostname}.`);
}

const bare = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replace(/^\[([^\]]*)\]$/, "$1")
    .replace(/\.$/, "");

const portOf = (port: string, protocol: string): string => (port !== "" ? port : protocol === "https:" ? "443" : "80");
