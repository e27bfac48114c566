import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { freePorts, startStack, type Stack } from "../../cli/stack.ts";
import { readSettings } from "../../settings.ts";
import { startLedgerServer, type LedgerServer } from "../servers/ledger-server.ts";
import { Parts } from "./parts.ts";
import { NOTICES } from "./protocol.ts";

/** A whole stack with servers of its own, which can be killed, and an outside world that keeps a ledger. */
export interface TestStack {
  stack: Stack;
  parts: Parts;
  ledger: LedgerServer;
  /** API and worker write here. */
  logs: string;
  stop(): Promise<void>;
}

/** `env`: for API and worker. `allow`: hosts of theirs beside the ledger. */
export async function startTestStack(env: Record<string, string>, allow: string[] = []): Promise<TestStack> {
  const stateDir = await mkdtemp(path.join(os.tmpdir(), "tenuto-test-"));
  // As root Postgres runs under another name, which must be able to enter.
  await chmod(stateDir, 0o755);
  const ledger = await startLedgerServer();
  // Nothing of this machine's own services: the tests kill theirs. Another Postgres on request, for what the one of ours cannot do.
  const DATABASE_URL = process.env["TENUTO_TEST_DATABASE_URL"] ?? "";
  const own = { TEMPORAL_ADDRESS: "", DATABASE_URL, REDIS_URL: "", TENUTO_API_KEY: "", TENUTO_STATE_DIR: stateDir };
  const roles = {
    TENUTO_HTTP_ALLOW: [`127.0.0.1:${ledger.port}`, ...allow].join(","),
    TENUTO_NOTICE_URL: `${ledger.url}${NOTICES}`,
    TENUTO_LOG_LEVEL: "warn",
    ...env,
  };
  Object.assign(process.env, own, roles);
  const settings = readSettings();
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const stack = await startStack({ settings, ports: await freePorts(), stateDir, env: roles, log });
  const parts = new Parts(stack);
  return {
    stack,
    parts,
    ledger,
    logs: path.join(stateDir, "logs"),
    async stop() {
      await stack.stop();
      await parts.stop();
      await ledger.close();
      if (settings.TENUTO_LOG_LEVEL !== "debug" && process.env["TENUTO_TEST_KEEP"] === undefined)
        await rm(stateDir, { recursive: true, force: true });
    },
  };
}
