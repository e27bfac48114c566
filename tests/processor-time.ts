/** Gives what tells how many milliseconds of the processor were spent since: those of the clock depend on what else the machine does. */
export function processorTime(): () => number {
  const before = process.cpuUsage();
  return () => process.cpuUsage(before).user / 1_000;
}
