import { startHost } from "./host-process.ts";

/** Before all tests of the stack: one real stack for all of them. One that already runs is used when its facts are given. */
export default async function setup(): Promise<void> {
  process.env["TENUTO_TEST_STACK"] ??= JSON.stringify(await startHost());
}
