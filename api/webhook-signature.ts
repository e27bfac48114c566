import { createHmac, timingSafeEqual } from "node:crypto";
import { limits } from "../contracts/limits.ts";

export interface Signed {
  id: string;
  timestamp: string;
  signature: string;
  body: Buffer;
}

/**
 * Whether a webhook is signed with the secret, not more than `webhookSkewMs` from now (standardwebhooks.com: HMAC-SHA256
 * over id, timestamp and body; several signatures while a secret is being changed).
 */
export function isSigned({ id, timestamp, signature, body }: Signed, secret: string, now: number): boolean {
  if (id === "" || !/^\d{1,12}$/.test(timestamp) || Math.abs(now - Number(timestamp) * 1_000) > limits.webhookSkewMs) return false;
  const expected = createHmac("sha256", bytesOf(secret)).update(`${id}.${timestamp}.`).update(body).digest();
  const given = signature.split(" ").flatMap((part) => (part.startsWith("v1,") ? [Buffer.from(part.slice("v1,".length), "base64")] : []));
  return given.some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}

const bytesOf = (secret: string): Buffer =>
  secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : Buffer.from(secret);
