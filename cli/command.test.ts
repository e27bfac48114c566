import { afterEach, expect, jest, test } from "@jest/globals";
import { runCommand } from "citty";
import { command } from "./command.ts";

const said = jest.spyOn(console, "error").mockImplementation(() => undefined);
afterEach(() => {
  said.mockClear();
  process.exitCode = undefined;
});

const start = command({
  name: "start",
  description: "Start a run",
  args: { workflow: { type: "positional", required: true }, input: { type: "string" }, wait: { type: "boolean", default: false } },
  run: () => 0,
});

test.each([
  [["greet", "--inptu", "{}"], "Unknown option --inptu. Did you mean --input?"],
  [["greet", "-x"], "Unknown option -x."],
  [["greet", "twice"], "Unknown argument twice. A text with spaces needs quotes."],
])("%j is refused", async (rawArgs, message) => {
  await runCommand(start, { rawArgs });
  expect(said.mock.calls).toEqual([[message]]);
  expect(process.exitCode).toBe(1);
});

test.each([[["greet", "--input", "{}", "--wait"]], [["greet", "--input={}", "--no-wait"]]])("%j is taken", async (rawArgs) => {
  await runCommand(start, { rawArgs });
  expect(said).not.toHaveBeenCalled();
  expect(process.exitCode).toBe(0);
});
