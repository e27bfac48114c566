import type { Json, JsonObject } from "../contracts/json.ts";
import { canonicalJson, isObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { makeReference, referenceHash, usesReservedKey } from "../contracts/reference.ts";
import { Fault } from "../contracts/faults.ts";
import type { Database } from "./client.ts";
import { sha256 } from "./hash.ts";
import { Recent } from "./recent.ts";
import { storable } from "./storable.ts";

/** References inside stored values may hold references in turn: pages of a large list. */
const ROUNDS_MAX = 16;

/** Data from outside, ready to travel. Fault `reserved_key`: nobody may pass data off as a stored value. */
export async function keep(database: Database, tenant: string, value: Json): Promise<Json> {
  if (usesReservedKey(value)) throw new Fault("reserved_key", "The key `$tenutoRef` is reserved for the platform; rename it.");
  return store(database, tenant, value);
}

/** A value of ours, which may hold references: itself, or its reference when it is large. */
export async function store(database: Database, tenant: string, value: Json, inlineMax: number = limits.inlineBytesMax): Promise<Json> {
  // Nearly every value is small, and needs no hash.
  if (Buffer.byteLength(JSON.stringify(value)) <= inlineMax) return value;
  const blob = blobOf(value);
  await put(database, tenant, blob);
  return makeReference(blob.sha256, blob.bytes);
}

/** Keep an object of ours whatever its size. Gives its hash; storing twice is storing once. */
export async function storeObject(database: Database, tenant: string, value: JsonObject): Promise<string> {
  const blob = blobOf(value);
  await put(database, tenant, blob);
  recentOf(database).set(keyOf(tenant, blob.sha256), blob.text);
  return blob.sha256;
}

interface Blob {
  sha256: string;
  bytes: number;
  /** Canonical JSON. */
  text: string;
}

function blobOf(value: Json): Blob {
  const text = canonicalJson(storable(value));
  return { sha256: sha256(text), bytes: Buffer.byteLength(text), text };
}

// By hand: each turn of an agent passes here, and the client's own statements cost it three times as much.
async function put(database: Database, tenant: string, { sha256: hash, bytes, text }: Blob): Promise<void> {
  await database.$executeRaw`/* put_blob */
    INSERT INTO blobs (tenant, sha256, bytes, value) VALUES (${tenant}, ${hash}, ${bytes}, ${text}::jsonb) ON CONFLICT DO NOTHING`;
}

/** The value with its references replaced by what they stand for, up to the size of the largest blob; the others stay. */
export async function resolve(database: Database, tenant: string, value: Json): Promise<Json> {
  let resolved = value;
  let bytesLeft: number = limits.blobBytesMax;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const wanted = referencesIn(resolved);
    bytesLeft -= wanted.reduce((sum, reference) => sum + reference.bytes, 0);
    if (wanted.length === 0 || bytesLeft < 0) return resolved;
    const hashes = [...new Set(wanted.map((reference) => reference.hash))];
    const rows = await database.blob.findMany({ where: { tenant, sha256: { in: hashes } }, select: { sha256: true, value: true } });
    if (rows.length === 0) return resolved;
    resolved = replace(resolved, new Map(rows.map((row) => [row.sha256, row.value as Json])));
  }
  return resolved;
}

/** The stored value itself: references inside it stay. */
export const stored = (database: Database, tenant: string, reference: Json): Promise<Json> =>
  read(database, tenant, referenceHash(reference) ?? "");

/**
 * What is kept under a hash. A process remembers what it read or stored last: nothing under a hash ever changes. What was deleted meanwhile
 * may still be told, of that very content; that it is stored is never concluded from it.
 */
export async function storedObject(database: Database, tenant: string, hash: string): Promise<Json> {
  const recent = recentOf(database);
  const key = keyOf(tenant, hash);
  const known = recent.get(key);
  if (known !== undefined) return JSON.parse(known) as Json;
  const value = await read(database, tenant, hash);
  recent.set(key, JSON.stringify(value));
  return value;
}

async function read(database: Database, tenant: string, hash: string): Promise<Json> {
  const row = await database.blob.findUniqueOrThrow({ where: { tenant_sha256: { tenant, sha256: hash } }, select: { value: true } });
  return row.value as Json;
}

const recents = new WeakMap<Database, Recent>();

function recentOf(database: Database): Recent {
  const recent = recents.get(database) ?? new Recent(limits.objectsKnownBytesMax);
  recents.set(database, recent);
  return recent;
}

const keyOf = (tenant: string, hash: string): string => JSON.stringify([tenant, hash]);

function referencesIn(value: Json): { hash: string; bytes: number }[] {
  if (typeof value !== "object" || value === null) return [];
  const hash = referenceHash(value);
  if (hash !== undefined) return [{ hash, bytes: Number((value as JsonObject)["bytes"]) || 0 }];
  return Object.values(value).flatMap(referencesIn);
}

function replace(value: Json, stored: Map<string, Json>): Json {
  if (Array.isArray(value)) return value.map((item) => replace(item, stored));
  if (!isObject(value)) return value;
  const hash = referenceHash(value);
  if (hash !== undefined) return stored.get(hash) ?? value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replace(item, stored)]));
}
