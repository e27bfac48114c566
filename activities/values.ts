import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { fill, ReferenceRead, type Roots } from "../language/expression/evaluate.ts";
import { resolve, store } from "../prisma/blobs.ts";
import type { Activities } from "../contracts/activities.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { referenceHash } from "../contracts/reference.ts";
import type { Template } from "../language/plan.ts";
import type { Database } from "../prisma/client.ts";
import type { IsolatedSchemas } from "./isolated-schema.ts";

type Values = Pick<Activities, "store" | "evaluate" | "list" | "concat" | "validate">;

/** Work on values that are too large for the workflow: the store, and expressions that read inside it. */
export function createValues({ database, schemas }: { database: Database; schemas: IsolatedSchemas }): Values {
  return {
    store: ({ tenant, value }) => store(database, tenant, value),

    async evaluate({ tenant, template, roots, steps }) {
      const [allRoots, allSteps] = await Promise.all([resolve(database, tenant, roots), resolve(database, tenant, steps)]);
      const read = (from: Json, name: string): Json | undefined => (from as { [key: string]: Json })[name];
      const filled: Roots = { name: (name) => read(allRoots, name), step: (id) => read(allSteps, id) };
      return store(database, tenant, filledFrom(template as unknown as Template, filled));
    },

    async list({ tenant, list, itemsMax, pageSize, mayPage }) {
      const items = await resolve(database, tenant, list);
      if (!Array.isArray(items)) throw new Fault("expression", "`items` must be a list.");
      const most = mayPage ? limits.foreachItemsMax : itemsMax;
      if (items.length > most) throw new Fault("limit", `The list has ${items.length} items; at most ${most} are allowed here.`);
      if (items.length <= itemsMax) return { items: await fitting(database, tenant, items), from: 0 };
      const pages: Json[] = [];
      for (let at = 0; at < items.length; at += pageSize)
        pages.push(await store(database, tenant, items.slice(at, at + pageSize), limits.pageInlineBytesMax));
      return { pages };
    },

    async concat({ tenant, pages }) {
      const parts = (await resolve(database, tenant, pages)) as Json[];
      if (parts.some((part) => referenceHash(part) !== undefined))
        throw new Fault("limit", `The results need more than ${limits.blobBytesMax} bytes; let each item give less.`);
      if (parts.every((part) => Array.isArray(part))) return store(database, tenant, parts.flat());
      return store(database, tenant, Object.fromEntries((parts as JsonObject[]).flatMap((part) => Object.entries(part))));
    },

    async validate({ tenant, schema, value }) {
      const [first, ...others] = await schemas.checkPublished({ tenant }, schema, await resolve(database, tenant, value));
      if (!first) return null;
      const more = others.length > 0 ? ` (and ${others.length} more)` : "";
      return new Fault("schema", `${first.pointer || "/"} ${first.message}${more}`).problem;
    },
  };
}

function filledFrom(template: Template, roots: Roots): Json {
  try {
    return fill(template, roots);
  } catch (error) {
    if (!(error instanceof ReferenceRead)) throw error;
    throw new Fault(
      "limit",
      `The values this expression reads are gone or need more than ${limits.blobBytesMax} bytes; read less at a time.`,
    );
  }
}

// One answer of an activity may have 2 MB: items stay as they are while that holds, then each becomes a reference.
async function fitting(database: Database, tenant: string, items: Json[]): Promise<Json[]> {
  if (JSON.stringify(items).length <= limits.listBytesMax) return items;
  const kept: Json[] = [];
  for (const item of items) kept.push(await store(database, tenant, item, limits.listItemBytesMax));
  if (JSON.stringify(kept).length <= limits.listBytesMax) return kept;
  throw new Fault(
    "limit",
    `The list's items need more than ${limits.listBytesMax} bytes even as references; split the work into sub-workflows.`,
  );
}
