import { readDefinition } from "../language/index.ts";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync, mkdirSync } from "node:fs";
const hashOf = (t: string) => createHash("sha256").update(t).digest("hex");
mkdirSync("tests/definitions/bad", { recursive: true });
for (const f of readdirSync("/tmp/bad").sort()) {
  const json = f.endsWith(".json"); const body = readFileSync("/tmp/bad/" + f, "utf8");
  const text = json ? body : "# expect: \n" + body;
  const s = performance.now();
  const r = readDefinition(text, json ? "json" : "yaml", { hashOf });
  const ms = performance.now() - s;
  if (r.ok) { console.log("!!! OK", f); continue; }
  console.log("==", f, ms > 200 ? ms : "");
  for (const p of r.problems) console.log("  ", p.code, `${p.line}:${p.column}`, p.path, "|", p.message.slice(0, 150));
  const expect = r.problems.map((p) => `${p.code} ${p.line}:${p.column}`);
  if (json) { writeFileSync(`tests/definitions/bad/${f}`, body); writeFileSync(`tests/definitions/bad/${f.replace(".json", ".expect.json")}`, JSON.stringify(expect, null, 2) + "\n"); }
  else writeFileSync(`tests/definitions/bad/${f}`, `# expect: ${expect.join(", ")}\n` + body);
}
