import { writeFile } from "node:fs/promises";
import path from "node:path";
import { languageJsonSchema } from "../language/index.ts";
import { referenceFile, referencePage } from "./reference.ts";

/** Files of the repository that are made from others; a test says when one is out of date. */
await writeFile(referenceFile, referencePage());
await writeFile(path.join(path.dirname(referenceFile), "workflow.schema.json"), `${JSON.stringify(languageJsonSchema(), null, 2)}\n`);
