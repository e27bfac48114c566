import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { Plan } from "../language/plan.ts";
import type { Database } from "./client.ts";

/** A plan may have 1.5 MB: enough for the versions in use, little enough for the process. */
const ENTRIES_MAX = 64;

/** In place of the hash of its plan: the run was ended from outside before it recorded anything. */
export const UNTOLD = "";

export interface FrozenPlan {
  /** The definition it was compiled from. */
  source: JsonObject;
  plan: Plan;
}

/** Published plans. A version never changes, so that what was read once stays right. */
export class Plans {
  readonly #database: Database;
  // A Map keeps the order of insertion: the first entry is the one not used for longest.
  readonly #cache = new Map<string, Plan>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** The highest release when none is named. Fault `not_found`. */
  async load(tenant: string, name: string, version?: string): Promise<Plan> {
    const chosen = version ?? (await this.#latest(tenant, name));
    const plan = chosen === undefined ? undefined : await this.#read(tenant, name, chosen);
    if (!plan)
      throw new Fault(
        "not_found",
        version === undefined
          ? `No workflow ${name}: publish it first; \`GET /api/v2/workflows\` lists those there are.`
          : `No version ${version} of workflow ${name}.`,
      );
    return plan;
  }

  /** What a run walks: the published version, or what was made of it for this run. Fault `not_found`. */
  async frozen(tenant: string, run: { workflow: string; version: string; planHash: string }): Promise<FrozenPlan> {
    const { workflow: name, version, planHash: hash } = run;
    if (hash === UNTOLD) throw new Fault("not_found", "The run was ended before it recorded its plan; see that of its workflow.");
    const select = { hash: true, source: true, plan: true };
    const published = await this.#database.definition.findUnique({ where: { tenant_name_version: { tenant, name, version } }, select });
    const row =
      published?.hash === hash
        ? published
        : await this.#database.patchedPlan.findUnique({ where: { tenant_hash: { tenant, hash } }, select });
    if (!row) throw new Fault("not_found", `The plan of ${name} ${version} that the run walks is not there.`);
    return { source: row.source as JsonObject, plan: row.plan as unknown as Plan };
  }

  /** Keep what a definition became for single runs. */
  async keepPatched(tenant: string, { source, plan, by }: FrozenPlan & { by: string }): Promise<void> {
    const data = [{ tenant, hash: plan.hash, source: source as object, plan: plan as object, patchedBy: by }];
    await this.#database.patchedPlan.createMany({ data, skipDuplicates: true });
  }

  // Not cached: a start right after publishing takes the new version.
  async #latest(tenant: string, name: string): Promise<string | undefined> {
    const row = await this.#database.definition.findFirst({ where: { tenant, name, latest: true }, select: { version: true } });
    return row?.version;
  }

  async #read(tenant: string, name: string, version: string): Promise<Plan | undefined> {
    const key = JSON.stringify([tenant, name, version]);
    const cached = this.#cache.get(key);
    const plan = cached ?? (await this.#fetch(tenant, name, version));
    if (!plan) return undefined;
    this.#cache.delete(key);
    this.#cache.set(key, plan);
    if (this.#cache.size > ENTRIES_MAX) this.#cache.delete(this.#cache.keys().next().value!);
    return plan;
  }

  async #fetch(tenant: string, name: string, version: string): Promise<Plan | undefined> {
    const where = { tenant_name_version: { tenant, name, version } };
    const row = await this.#database.definition.findUnique({ where, select: { plan: true } });
    // Written from a Plan when it was published.
    return row ? (row.plan as unknown as Plan) : undefined;
  }
}
