import { Fault } from "../contracts/faults.ts";

export type Headers = Record<string, string>;

/** The definition's headers, lower-cased and checked, under the ones that are always ours. */
export function requestHeaders(given: Headers, ours: Headers): Headers {
  const headers: Headers = { accept: "*/*", "accept-encoding": "gzip, deflate, br", "user-agent": "tenuto" };
  for (const [name, value] of Object.entries(given)) headers[checkName(name)] = checkValue(name, value);
  return { ...headers, ...ours };
}

/** What may follow a redirect to another origin: nothing that could be a secret. */
export function crossOriginHeaders(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => harmless.has(name)));
}

/** Lower-cased, several values joined; cookies stay here. */
export function answerHeaders(raw: Record<string, string | string[] | undefined>): Headers {
  const entries = Object.entries(raw).flatMap(([name, value]): [string, string][] =>
    value === undefined || name.toLowerCase() === "set-cookie" ? [] : [[name.toLowerCase(), [value].flat().join(", ")]],
  );
  return Object.fromEntries(entries);
}

const harmless = new Set(["accept", "accept-encoding", "accept-language", "user-agent", "content-type", "idempotency-key", "x-run-id"]);

/** They belong to the connection: a definition that sets one could smuggle a second request or name another host. */
const ofTheConnection = new Set(
  "host content-length transfer-encoding connection keep-alive proxy-authorization proxy-connection upgrade te trailer expect".split(" "),
);

function checkName(name: string): string {
  const lower = name.toLowerCase();
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(lower)) throw new Fault("policy", `"${name.slice(0, 40)}" is no header name.`);
  if (ofTheConnection.has(lower)) throw new Fault("policy", `Header ${lower} is set by the platform.`);
  return lower;
}

function checkValue(name: string, value: string): string {
  if (!/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value))
    throw new Fault("policy", `Header ${name} holds a line break or a character that headers cannot carry.`);
  return value;
}
