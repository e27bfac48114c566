import { afterEach, expect, jest, test } from "@jest/globals";
import type { Database } from "../prisma/client.ts";
import { sha256 } from "../prisma/hash.ts";
import { makeAuthenticator, requireScope, scopesOf, type Scope } from "./auth.ts";

afterEach(() => void jest.useRealTimers());

const settings = { TENUTO_API_KEY: "the-platforms-own-key", TENUTO_TENANT: "acme" };

test("the platform's own key is an admin of its tenant", async () => {
  const caller = await makeAuthenticator(keysInMemory(), settings).authenticate("Bearer the-platforms-own-key");
  expect(caller).toMatchObject({ tenant: "acme", isRoot: true, principal: { name: "admin", kind: "person", roles: ["admin"] } });
});

test("no key, a wrong key, another scheme and a broken header are refused alike", async () => {
  const authenticator = makeAuthenticator(keysInMemory(), settings);
  for (const header of [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    "Basic the-platforms-own-key",
    "Bearer a b",
    `Bearer ${"x".repeat(600)}`,
  ])
    await expect(authenticator.authenticate(header)).rejects.toMatchObject({ code: "unauthenticated" });
});

test("a stored key is known by its hash and belongs to its own tenant", async () => {
  const database = keysInMemory({
    "tnt_key-of-ada": { tenant: "other", principal: "ada", kind: "person", roles: ["viewer"], revokedAt: null },
  });
  const caller = await makeAuthenticator(database, settings).authenticate("Bearer tnt_key-of-ada");
  expect(caller).toMatchObject({ tenant: "other", isRoot: false, principal: { name: "ada", kind: "person", roles: ["viewer"] } });
});

test("a revoked key is refused within a second", async () => {
  const row: Row = { tenant: "acme", principal: "ada", kind: "person", roles: [], revokedAt: null };
  const authenticator = makeAuthenticator(keysInMemory({ key: row }), settings);
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
  const caller = await authenticator.authenticate("Bearer key");
  row.revokedAt = new Date();
  jest.advanceTimersByTime(1_001);
  await expect(authenticator.authenticate("Bearer key")).rejects.toMatchObject({ code: "unauthenticated" });
  expect(await authenticator.isValid(caller)).toBe(false);
});

const all: Scope[] = ["publish", "start", "signal", "pause", "cancel", "attend", "decide", "read", "keys", "tenant"];
const table: [role: string, allowed: Scope[]][] = [
  ["admin", all],
  ["developer", ["publish", "start", "read"]],
  ["operator", ["start", "signal", "pause", "cancel", "attend", "read"]],
  ["approver", ["decide", "read"]],
  ["viewer", ["read"]],
  ["finance", ["read"]],
  ["constructor", ["read"]],
];

test.each(table)("a service with role %s may do exactly %j", (role, allowed) => {
  expect([...scopesOf({ name: "bot", kind: "service", roles: [role] })].toSorted()).toEqual([...allowed].toSorted());
});

test("a person may decide whatever their roles: the run checks whom it asked", () => {
  expect([...scopesOf({ name: "ada", kind: "person", roles: ["finance"] })].toSorted()).toEqual(["decide", "read"]);
});

test("what the roles do not allow is forbidden and named", () => {
  const caller = { tenant: "acme", principal: { name: "bot", kind: "service" as const, roles: ["viewer"] }, keyHash: "", isRoot: false };
  expect(() => requireScope(caller, "start")).toThrow(/"start"/);
});

interface Row {
  tenant: string;
  principal: string;
  kind: string;
  roles: string[];
  revokedAt: Date | null;
}

// The one query that authentication makes.
function keysInMemory(keys: Record<string, Row> = {}): Database {
  const byHash = new Map(Object.entries(keys).map(([key, row]) => [sha256(key), row]));
  return {
    apiKey: { findUnique: async ({ where }: { where: { hash: string } }) => byHash.get(where.hash) ?? null },
  } as unknown as Database;
}
