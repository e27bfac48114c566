/**
 * Built-in tools that only read and answer in well under two seconds: their steps run beside the walk, as local
 * activities. Frozen into a Plan when it is compiled; the tools themselves say it too (`short`), and a test holds both equal.
 */
export const shortTools: readonly string[] = [
  "conversation.pin",
  "files.exists",
  "files.readJson",
  "files.readText",
  "math.evaluate",
  "text.count",
  "text.cut",
  "text.lines",
  "time.now",
];
