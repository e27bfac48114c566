import { openSync, readSync } from "node:fs";
import { workerData } from "node:worker_threads";

// Once a millisecond: does anything on this machine run but this thread? `workerData`: samples, idle ones, stop.
const counts = new Int32Array(workerData);
const file = openSync("/proc/loadavg", "r");
const buffer = Buffer.alloc(128);
while (Atomics.load(counts, 2) === 0) {
  Atomics.wait(counts, 2, 0, 1);
  const text = buffer.toString("latin1", 0, readSync(file, buffer, 0, buffer.length, 0));
  Atomics.add(counts, 0, 1);
  if (Number(/ (\d+)\//.exec(text)[1]) <= 1) Atomics.add(counts, 1, 1);
}
