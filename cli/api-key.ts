import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

export const apiKeyFile = (stateDir: string): string => path.join(stateDir, "api-key");

/** The platform's own key: from the environment, or made once and kept readable by its owner only. */
export function findApiKey(stateDir: string, given: string | undefined, log: (line: string) => void): string {
  if (given !== undefined) return given;
  const kept = keptApiKey(stateDir);
  if (kept !== undefined) return kept;
  const key = `tnt_${randomBytes(32).toString("base64url")}`;
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(apiKeyFile(stateDir), `${key}\n`, { mode: 0o600 });
  log(`Your API key, kept in ${apiKeyFile(stateDir)}: ${key}`);
  return key;
}

export function keptApiKey(stateDir: string): string | undefined {
  try {
    return readFileSync(apiKeyFile(stateDir), "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}
