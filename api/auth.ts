import { timingSafeEqual } from "node:crypto";
import { Fault } from "../contracts/faults.ts";
import type { Principal } from "../contracts/messages.ts";
import type { Database } from "../prisma/client.ts";
import { sha256 } from "../prisma/hash.ts";
import type { Settings } from "../settings.ts";

/** Role → what it may do. Other role names are free: they matter for assignees only. */
export const roleScopes = {
  admin: ["publish", "start", "signal", "pause", "cancel", "attend", "decide", "read", "keys", "tenant"],
  developer: ["publish", "start", "read"],
  operator: ["start", "signal", "pause", "cancel", "attend", "read"],
  approver: ["decide", "read"],
  viewer: ["read"],
} as const;

export type Scope = (typeof roleScopes)["admin"][number];

export interface Caller {
  tenant: string;
  principal: Principal;
  /** sha-256 of the key, hex; "" where a route is open. */
  keyHash: string;
  /** The platform's own key, which may act for other tenants' keys. */
  isRoot: boolean;
}

/** Everyone with a key reads within the tenant; a person may decide what is assigned to them: the run checks that. */
export function scopesOf({ kind, roles }: Principal): Set<Scope> {
  const fromRoles = roles.flatMap((role) => (Object.hasOwn(roleScopes, role) ? [...roleScopes[role as keyof typeof roleScopes]] : []));
  return new Set<Scope>([...fromRoles, "read", ...(kind === "person" ? (["decide"] as const) : [])]);
}

export function requireScope(caller: Caller, scope: Scope): void {
  if (!scopesOf(caller.principal).has(scope))
    throw new Fault("forbidden", `Your key's roles do not allow "${scope}"; ask an admin for a key with a role that does.`);
}

export interface Authenticator {
  /** Whose key stands in the Authorization header; fault `unauthenticated` when there is none or it is not valid. */
  authenticate(header: string | undefined): Promise<Caller>;
  /** Whether a key that was valid still is: long streams ask. */
  isValid(caller: Caller): Promise<boolean>;
}

const CACHE_MS = 1_000;
const CACHE_ENTRIES_MAX = 10_000;

export function makeAuthenticator(database: Database, settings: Pick<Settings, "TENUTO_API_KEY" | "TENUTO_TENANT">): Authenticator {
  const root = rootCaller(settings);
  const cache = new Map<string, { caller: Caller; until: number }>();
  const lookUp = async (keyHash: string): Promise<Caller | undefined> => {
    if (root && isSameHash(root.keyHash, keyHash)) return root;
    const cached = cache.get(keyHash);
    if (cached && cached.until > Date.now()) return cached.caller;
    const caller = await readKey(database, keyHash);
    if (cache.size >= CACHE_ENTRIES_MAX) cache.clear();
    // A revoked key must be refused within a second, so that nothing is kept longer.
    if (caller) cache.set(keyHash, { caller, until: Date.now() + CACHE_MS });
    else cache.delete(keyHash);
    return caller;
  };
  return {
    async authenticate(header) {
      const key = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(header ?? "")?.[1];
      const caller = key === undefined ? undefined : await lookUp(sha256(key));
      if (!caller)
        throw new Fault(
          "unauthenticated",
          "Send a valid key: `Authorization: Bearer <key>`. A stack keeps the first one in `.tenuto/api-key`; `POST /api/v2/keys` makes others.",
        );
      return caller;
    },
    isValid: async ({ keyHash }) => (await lookUp(keyHash)) !== undefined,
  };
}

function rootCaller(settings: Pick<Settings, "TENUTO_API_KEY" | "TENUTO_TENANT">): Caller | undefined {
  if (settings.TENUTO_API_KEY === undefined) return undefined;
  const principal: Principal = { name: "admin", kind: "person", roles: ["admin"] };
  return { tenant: settings.TENUTO_TENANT, principal, keyHash: sha256(settings.TENUTO_API_KEY), isRoot: true };
}

async function readKey(database: Database, hash: string): Promise<Caller | undefined> {
  const row = await database.apiKey.findUnique({ where: { hash } });
  if (!row || row.revokedAt) return undefined;
  const principal: Principal = { name: row.principal, kind: row.kind as Principal["kind"], roles: row.roles };
  return { tenant: row.tenant, principal, keyHash: hash, isRoot: false };
}

const isSameHash = (a: string, b: string): boolean => timingSafeEqual(Buffer.from(a, "hex"), Buffer.from(b, "hex"));
