import { isGrpcServiceError, type Client } from "@temporalio/client";
import { searchAttributes } from "../contracts/search-attributes.ts";

const spellings = { KEYWORD: { flag: "Keyword", code: 2 }, INT: { flag: "Int", code: 3 } } as const;

/** Flags of `temporal server start-dev`. */
export const searchAttributeFlags = (): string[] =>
  Object.values(searchAttributes).flatMap(({ name, type }) => ["--search-attribute", `${name}=${spellings[type].flag}`]);

/**
 * Register the search attributes that the namespace does not have yet, and give their names. Safe at every start and from many processes.
 * Where registering is not allowed (Temporal Cloud, a locked-down cluster) the error names what an operator must add.
 */
export async function ensureSearchAttributes(client: Client): Promise<string[]> {
  const { namespace } = client.options;
  const { operatorService } = client.connection;
  const present = await operatorService.listSearchAttributes({ namespace });
  const missing = Object.values(searchAttributes).filter(({ name }) => !(name in (present.customAttributes ?? {})));
  if (missing.length === 0) return [];
  const listed = missing.map(({ name, type }) => `${name} (${spellings[type].flag})`).join(", ");
  try {
    await operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map(({ name, type }) => [name, spellings[type].code])),
    });
  } catch (cause) {
    if (!isAlreadyThere(cause))
      throw new Error(`Namespace ${namespace} lacks search attributes; an operator must add ${listed}.`, { cause });
  }
  return missing.map(({ name }) => name);
}

// Another process that starts at the same time was faster.
const isAlreadyThere = (cause: unknown): boolean => isGrpcServiceError(cause) && cause.code === 6;
