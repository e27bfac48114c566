import { agentStates, stateRefusal, type Agent, type AgentState, type StateRequest } from "../contracts/agents.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { nearest } from "../contracts/nearest.ts";
import { isVersion, leadingFirst, newestFirst, satisfies } from "../contracts/semver.ts";
import { audit } from "./audit.ts";
import type { Database, Prisma } from "./client.ts";
import { hashOf } from "./hash.ts";
import { Lately } from "./lately.ts";

export interface LoadedAgent {
  version: string;
  hash: string;
  definition: Agent;
  /** As it stands now; `stateOf` says it again before each call. */
  state: AgentState;
}

/** The highest release, or the highest version in a range. Fault `not_found` names what is near. */
export async function loadAgent(database: Database, tenant: string, name: string, versionOrRange?: string): Promise<LoadedAgent> {
  const version = await versionIn(database, { tenant, name, range: versionOrRange });
  const [row, current] = await Promise.all([
    database.agent.findUniqueOrThrow({ where: { tenant_name_version: { tenant, name, version } } }),
    currentOf(database, tenant, name),
  ]);
  return { version, hash: row.hash, definition: definitionOf(row), state: current.state };
}

/** The state it is in, or was in 2 s ago: little enough for a kill switch, and no query for every call. Fault `not_found`. */
export async function stateOf(database: Database, tenant: string, name: string): Promise<AgentState> {
  const states = known.get(database) ?? new Lately<AgentState>({ knownMs: limits.agentStateKnownMs, keysMax: limits.agentStatesKnownMax });
  known.set(database, states);
  return states.get(JSON.stringify([tenant, name]), async () => (await currentOf(database, tenant, name)).state);
}

const known = new WeakMap<Database, Lately<AgentState>>();

interface By {
  tenant: string;
  by: string;
  requestId: string;
}

export type AgentRow = Prisma.AgentGetPayload<object>;

export interface Published {
  row: AgentRow;
  state: AgentState;
  /** false: this very agent was published before. */
  isNew: boolean;
}

/** Faults: `version_exists`; `agent_state` when it is retired. */
export async function publishAgent(database: Database, agent: Agent, { tenant, by, requestId }: By): Promise<Published> {
  const { name, version } = agent;
  const hash = hashOf(agent as unknown as Json);
  return database.$transaction(async (transaction) => {
    await lockAgent(transaction, tenant, name);
    const before = await transaction.agent.findFirst({ where: { tenant, name, latest: true }, select: { version: true } });
    const current = before === null ? undefined : await currentOf(transaction, tenant, name);
    const present = await transaction.agent.findUnique({ where: { tenant_name_version: { tenant, name, version } } });
    if (present && present.hash !== hash)
      throw new Fault("version_exists", `${name} ${version} is published with other content; publish under a new version.`);
    if (present) return { row: present, state: current!.state, isNew: false };
    if (current?.state === "retired")
      throw new Fault("agent_state", `${name} is retired: nothing more is published under its name. Take another one.`);
    const latest = before === null || leadingFirst(agent, before) < 0;
    if (latest) await transaction.agent.updateMany({ where: { tenant, name, latest }, data: { latest: false } });
    const row = await transaction.agent.create({
      data: { tenant, name, version, hash, latest, definition: agent as object, publishedBy: by },
    });
    const first = { tenant, name, revision: 1, state: "active", changedBy: by };
    if (!current) await transaction.agentState.create({ data: first });
    await audit(transaction, { tenant, actor: by, action: "agent.published", object: name, data: { version, hash }, requestId });
    return { row, state: current?.state ?? "active", isNew: true };
  });
}

export interface StateChange extends StateRequest, By {
  name: string;
  why: string;
  /** The revision that was seen by whoever asks. */
  expectedRevision?: number | undefined;
}

export type AgentStateRow = Prisma.AgentStateGetPayload<object> & { state: AgentState };

/**
 * Bring it into a state, with an audit row; the state it is in already is answered as it stands.
 * Faults: `not_found`, `revision_stale`, `agent_state`, the last two with the state there is.
 */
export async function changeAgentState(database: Database, change: StateChange): Promise<AgentStateRow> {
  const { tenant, name, state, why, by, expectedRevision } = change;
  return database.$transaction(async (transaction) => {
    await lockAgent(transaction, tenant, name);
    const current = await currentOf(transaction, tenant, name);
    const extra = { state: current.state, revision: current.revision };
    if (expectedRevision !== undefined && expectedRevision !== current.revision)
      throw new Fault(
        "revision_stale",
        `${name} is \`${current.state}\` at revision ${current.revision} by now; look at it and decide anew.`,
        { extra },
      );
    const refusal = stateRefusal(current.state, change);
    if (refusal !== undefined) throw new Fault("agent_state", `${name} is \`${current.state}\`. ${refusal}`, { extra });
    if (current.state === state) return current;
    const revision = current.revision + 1;
    const row = await transaction.agentState.create({ data: { tenant, name, revision, state, why, changedBy: by } });
    await audit(transaction, entryOf(change, current));
    return { ...row, state };
  });
}

/** The state an agent is in. Fault `not_found`. */
export async function currentOf(database: Pick<Database, "agent" | "agentState">, tenant: string, name: string): Promise<AgentStateRow> {
  const row = await database.agentState.findFirst({ where: { tenant, name }, orderBy: { revision: "desc" } });
  if (!row) throw await unknownAgent(database, tenant, name);
  return withState(row);
}

/** A row as it was written by `changeAgentState`. */
export const withState = (row: Prisma.AgentStateGetPayload<object>): AgentStateRow => ({
  ...row,
  state: agentStates.find((state) => state === row.state) ?? "stopped",
});

// Checked by its schema before it was stored.
export const definitionOf = ({ definition }: Pick<AgentRow, "definition">): Agent => definition as unknown as Agent;

/** Publishing and changes of state of an agent, one after the other. */
async function lockAgent(transaction: Prisma.TransactionClient, tenant: string, name: string): Promise<void> {
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`agent ${tenant}/${name}`}, 0))`;
}

interface Wanted {
  tenant: string;
  name: string;
  range: string | undefined;
}

/** Only a range needs to see all versions. */
async function versionIn(database: Database, { tenant, name, range }: Wanted): Promise<string> {
  const exact = range === undefined ? { latest: true } : isVersion(range) ? { version: range } : undefined;
  const row = exact && (await database.agent.findFirst({ where: { tenant, name, ...exact }, select: { version: true } }));
  if (row) return row.version;
  const rows = await database.agent.findMany({ where: { tenant, name }, select: { version: true } });
  if (rows.length === 0) throw await unknownAgent(database, tenant, name);
  const versions = rows.toSorted(newestFirst).map(({ version }) => version);
  const chosen = exact ? undefined : versions.find((version) => satisfies(version, range!));
  if (chosen !== undefined) return chosen;
  throw new Fault("not_found", `No version ${range} of agent ${name}. There is: ${versions.slice(0, namedMax).join(", ")}.`);
}

const namedMax = 10;

/** Looks among the tenant's own: whether another tenant has it, nobody hears. */
async function unknownAgent(database: Pick<Database, "agent">, tenant: string, name: string): Promise<Fault> {
  const rows = await database.agent.findMany({ where: { tenant, latest: true }, select: { name: true }, take: lookedThroughMax });
  const meant = nearest(
    name,
    rows.map((row) => row.name),
  );
  return new Fault("not_found", `No agent ${name}.${meant === undefined ? "" : ` Did you mean ${meant}?`}`);
}

const lookedThroughMax = 1_000;

function entryOf({ tenant, name, state, why, by, requestId }: StateChange, { state: from, revision }: AgentStateRow) {
  const verb = state === "active" ? (from === "stopped" ? "restarted" : "resumed") : state;
  return { tenant, actor: by, action: `agent.${verb}`, object: name, data: { from, why, revision: revision + 1 }, requestId };
}
