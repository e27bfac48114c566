import { highestVersion } from "../contracts/semver.ts";
import { Fault } from "../contracts/faults.ts";
import type { Plan } from "../language/plan.ts";
import type { Database } from "./client.ts";

/** A plan may have 1.5 MB: enough for the versions in use, little enough for the process. */
const ENTRIES_MAX = 64;

/** Published plans. A version never changes, so that what was read once stays right. */
export class Plans {
  readonly #database: Database;
  // A Map keeps the order of insertion: the first entry is the one not used for longest.
  readonly #cache = new Map<string, Plan>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** The highest version when none is named. Fault `not_found`. */
  async load(tenant: string, name: string, version?: string): Promise<Plan> {
    const chosen = version ?? (await this.#highest(tenant, name));
    const plan = await this.#read(tenant, name, chosen);
    if (!plan) throw new Fault("not_found", version === undefined ? `No workflow ${name}.` : `No version ${version} of workflow ${name}.`);
    return plan;
  }

  // Not cached: a start right after publishing takes the new version.
  async #highest(tenant: string, name: string): Promise<string> {
    const rows = await this.#database.definition.findMany({ where: { tenant, name }, select: { version: true } });
    return highestVersion(rows.map((row) => row.version)) ?? "";
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
