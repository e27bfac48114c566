import { ask, Refused, type Server } from "./api-client.ts";
import { problemLine, readDefinitionFile } from "./definition-file.ts";

interface Published {
  name: string;
  version: string;
  hash: string;
}

/** `tenuto publish <file>`: a .ts file is run here and sent as the JSON it makes; YAML and JSON are sent as they are, so that places in them are exact. */
export async function publish(server: Server, file: string, idempotencyKey?: string): Promise<number> {
  const definition = await readDefinitionFile(file);
  const sent = { method: "POST", body: definition.text, mediaType: `application/${definition.format}`, idempotencyKey } as const;
  try {
    const answer = await ask<Published>(server, "/api/v2/workflows", sent);
    console.log(`${answer.name} ${answer.version}  ${answer.hash}`);
    return 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { detail, code, errors = [] } = error.problem;
    if (errors.length === 0) console.error(`${file}: ${detail} [${code}]`);
    for (const problem of errors) console.error(problemLine(file, definition, problem));
    return 1;
  }
}
