import { readLaptop } from "./laptop.ts";
import { findTemporal } from "./temporal-binary.ts";

// Before the first start, where three minutes of building are better spent alone: CI, container images.
try {
  const { file, how } = await findTemporal(readLaptop(), (line) => console.log(line));
  console.log(`Temporal CLI: ${file} (${how})`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
