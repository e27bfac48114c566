import { createHash } from "node:crypto";
import { readDefinition } from "../language/index.ts";
import { problemLine, readDefinitionFile } from "./definition-file.ts";

/** `tenuto validate <file>`: the checks of `publish`, here, without a server. */
export async function validate(file: string): Promise<number> {
  const definition = await readDefinitionFile(file);
  const read = readDefinition(definition.text, definition.format, { hashOf });
  if (read.ok) console.log("valid");
  else for (const problem of read.problems) console.error(problemLine(file, definition, problem));
  return read.ok ? 0 : 1;
}

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");
