import { stopHost } from "./host-process.ts";

export default async function teardown(): Promise<void> {
  await stopHost();
}
