import type { Json, JsonObject } from "../contracts/json.ts";
import { canonicalJson, isObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { makeReference, referenceHash, usesReservedKey } from "../contracts/reference.ts";
import { Fault } from "../contracts/faults.ts";
import type { Prisma, Database } from "./client.ts";
import { sha256 } from "./hash.ts";
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
  const blob = blobOf(value);
  if (blob.bytes <= inlineMax) return value;
  await put(database, tenant, blob);
  return makeReference(blob.sha256, blob.bytes);
}

/** Keep an object of ours whatever its size. Gives its hash; storing twice is storing once. */
export async function storeObject(database: Database, tenant: string, value: JsonObject): Promise<string> {
  const blob = blobOf(value);
  await put(database, tenant, blob);
  return blob.sha256;
}

interface Blob {
  sha256: string;
  bytes: number;
  value: Json;
}

function blobOf(value: Json): Blob {
  const clean = storable(value);
  const text = canonicalJson(clean);
  return { sha256: sha256(text), bytes: Buffer.byteLength(text), value: clean };
}

async function put(database: Database, tenant: string, { value, ...blob }: Blob): Promise<void> {
  // Large values and objects are never null, the only JSON that Prisma wants spelt otherwise.
  const data = [{ tenant, ...blob, value: value as Prisma.InputJsonValue }];
  await database.blob.createMany({ data, skipDuplicates: true });
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
  storedObject(database, tenant, referenceHash(reference) ?? "");

/** What is kept under a hash. */
export async function storedObject(database: Database, tenant: string, sha256: string): Promise<Json> {
  const row = await database.blob.findUniqueOrThrow({ where: { tenant_sha256: { tenant, sha256 } }, select: { value: true } });
  return row.value as Json;
}

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
