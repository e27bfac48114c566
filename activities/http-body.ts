import type { Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";

/** The bytes after decompression, counted there: a small zip can hold gigabytes. Fault `limit` above the bound. */
export async function readBytes(
  body: Readable,
  encoding: string | undefined,
  bytesMax: number = limits.httpAnswerBytesMax,
): Promise<Buffer> {
  const bytes = await readUpTo(body, encoding, bytesMax);
  if (bytes.byteLength > bytesMax) throw new Fault("limit", `The answer is above ${bytesMax} bytes.`);
  return bytes;
}

/** As much as `excerpt` shows: the page behind an error may be endless. */
export const readStart = (body: Readable, encoding: string | undefined): Promise<Buffer> => readUpTo(body, encoding, EXCERPT_BYTES_MAX);

/** The bytes, or somewhat more than `bytesMax` of them when there are more. */
async function readUpTo(body: Readable, encoding: string | undefined, bytesMax: number): Promise<Buffer> {
  const stream = decompress(body, encoding);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      chunks.push(chunk);
      if (bytes > bytesMax) break;
    }
  } finally {
    stream.destroy();
    // Destroying a body that is not read to its end emits an error nobody waits for.
    body.on("error", () => {}).destroy();
  }
  return Buffer.concat(chunks);
}

/** JSON when the content type says so, otherwise text; null when there is nothing. */
export function parseBody(bytes: Buffer, contentType: string | undefined): Json {
  if (bytes.byteLength === 0) return null;
  const text = decode(bytes, contentType);
  if (!isJsonType(contentType)) return text;
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new Fault("http", `The answer calls itself JSON and is not: ${String(error)}`, { cause: error, extra: { retryable: false } });
  }
}

/** What a failed call's error shows of the answer. */
export function excerpt(bytes: Buffer, contentType: string | undefined): Json {
  if (bytes.byteLength > EXCERPT_BYTES_MAX) return `${decode(bytes.subarray(0, EXCERPT_BYTES_MAX), contentType)}…`;
  try {
    return parseBody(bytes, contentType);
  } catch {
    return decode(bytes, contentType);
  }
}

const EXCERPT_BYTES_MAX = 2_048;

function decompress(body: Readable, encoding: string | undefined): Readable {
  switch (encoding?.trim().toLowerCase() ?? "identity") {
    case "":
    case "identity":
      return body;
    case "gzip":
    case "x-gzip":
      return forward(body, createGunzip());
    case "deflate":
      return forward(body, createInflate());
    case "br":
      return forward(body, createBrotliDecompress());
    default:
      body.on("error", () => {}).destroy();
      throw new Fault("http", `The answer comes in an unknown encoding: ${encoding}.`, { extra: { retryable: false } });
  }
}

// `pipe` alone would leave the reader waiting for ever when the connection breaks.
function forward<Target extends NodeJS.ReadWriteStream & Readable>(body: Readable, target: Target): Target {
  body.on("error", (error) => target.destroy(error));
  return body.pipe(target);
}

const isJsonType = (contentType: string | undefined): boolean =>
  /^\s*(?:application|text)\/(?:[^;]*\+)?json\s*(?:;|$)/i.test(contentType ?? "");

function decode(bytes: Buffer, contentType: string | undefined): string {
  const charset = /charset\s*=\s*"?([^\s;"]+)/i.exec(contentType ?? "")?.[1] ?? "utf-8";
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}
