// Adds up what `.ci/run` did. A part without a report counts as one: passed when it ended with 0.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const folder = process.argv[2];
const parts = readdirSync(folder)
  .filter((name) => name.endsWith(".code"))
  .map((name) => name.slice(0, -".code".length));
const totals = parts.map(resultOf);
const sum = (key) => totals.reduce((total, result) => total + result[key], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
process.exitCode = sum("failed") > 0 ? 1 : 0;

function resultOf(name) {
  const code = Number(readFileSync(path.join(folder, `${name}.code`), "utf8"));
  const report = path.join(folder, `${name}.json`);
  if (!existsSync(report)) return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1 };
  const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites = 0 } = JSON.parse(readFileSync(report, "utf8"));
  const failed = numFailedTests + numRuntimeErrorTestSuites;
  // A run that says nothing failed and yet ended badly (a leak, a broken teardown) has failed.
  return { passed: numPassedTests, failed: code !== 0 && failed === 0 ? 1 : failed };
}
