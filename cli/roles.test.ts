import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "@jest/globals";
import type { Child } from "./child.ts";
import { inheritedEnv } from "./laptop.ts";
import { makeRole } from "./roles.ts";

test("a role that does not become ready in time is ended before another is started beside it", async () => {
  const children: Child[] = [];
  const role = makeRole("API", {
    stateDir: mkdtempSync(path.join(tmpdir(), "roles-")),
    env: {
      ...inheritedEnv(),
      NODE_OPTIONS: "--import=data:text/javascript,setInterval(()=>undefined,1000);await(new(Promise)(()=>undefined))",
    },
    keep: async (child) => void children.push(child),
    keepAlive: false,
    readyMs: 1_000,
    log: () => undefined,
  });
  await expect(role.start()).rejects.toThrow(/no sign of life/);
  expect(children.map((child) => child.hasExited())).toEqual([true]);
});
