import os from "node:os";
import path from "node:path";

/** While this file is there, workers that start have newer tools. `place`: host and port of the ledger, which every stack has its own of. */
export const newerTools = (place: string): string => path.join(os.tmpdir(), `tenuto-newer-tools-${place.split(":").at(-1)}`);
