import { canonicalJson, type Json } from "./json.ts";

/** SHA-256 of a text's UTF-8 as hex. Written out, since the workflow sandbox has no `crypto`. */
export function sha256(text: string): string {
  const hash = new Uint32Array(roots(8, 1 / 2));
  const words = new Uint32Array(64);
  const view = new DataView(padded(new TextEncoder().encode(text)).buffer);
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let n = 0; n < 16; n++) words[n] = view.getUint32(at + 4 * n);
    for (let n = 16; n < 64; n++)
      words[n] = words[n - 16]! + small(words[n - 15]!, 7, 18, 3) + words[n - 7]! + small(words[n - 2]!, 17, 19, 10);
    compress(hash, words);
  }
  return [...hash].map((word) => word.toString(16).padStart(8, "0")).join("");
}

/** The same for values that are equal, whatever the order of their keys. */
export const hashOf = (value: Json): string => sha256(canonicalJson(value));

function compress(hash: Uint32Array, words: Uint32Array): void {
  let [a, b, c, d, e, f, g, h] = hash as unknown as [number, number, number, number, number, number, number, number];
  for (let n = 0; n < 64; n++) {
    const one = (h + large(e, 6, 11, 25) + ((e & f) ^ (~e & g)) + constants[n]! + words[n]!) | 0;
    const two = (large(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [a, b, c, d, e, f, g, h] = [(one + two) | 0, a, b, c, (d + one) | 0, e, f, g];
  }
  for (const [n, word] of [a, b, c, d, e, f, g, h].entries()) hash[n] = hash[n]! + word;
}

/** A one, zeros, and the length in bits, so that it is a multiple of 64 bytes. */
function padded(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  all.set(bytes);
  all[bytes.length] = 0x80;
  const view = new DataView(all.buffer);
  view.setUint32(all.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(all.length - 4, bytes.length * 8);
  return all;
}

const turn = (word: number, by: number): number => (word >>> by) | (word << (32 - by));
const small = (word: number, a: number, b: number, shift: number): number => turn(word, a) ^ turn(word, b) ^ (word >>> shift);
const large = (word: number, a: number, b: number, c: number): number => turn(word, a) ^ turn(word, b) ^ turn(word, c);

/** The first 32 bits behind the point of the first primes' roots: where SHA-256 takes its numbers from. */
function roots(count: number, power: number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes.map((prime) => Math.floor((prime ** power % 1) * 2 ** 32));
}

const constants = roots(64, 1 / 3);
