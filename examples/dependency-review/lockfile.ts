import { Fault } from "../../contracts/faults.ts";
import type { LockedDependency } from "./shapes.ts";

/** An entry of `packages`: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json */
interface Entry {
  version?: string;
  resolved?: string;
  integrity?: string;
  link?: boolean;
  hasInstallScript?: boolean;
  deprecated?: string;
  license?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

type Entries = Record<string, Entry>;
type Declared = Pick<LockedDependency, "name" | "range" | "kind">;

/** What the lockfile says of each direct dependency. Fault `tool_input` for lockfiles before npm 7, which do not list packages by place. */
export function parseLockfile(
  lockfile: Record<string, unknown>,
  dependencies: Declared[],
): { packages: number; dependencies: LockedDependency[] } {
  const entries = lockfile["packages"] as Entries | undefined;
  if (typeof entries !== "object" || entries === null)
    throw new Fault(
      "tool_input",
      "package-lock.json has no `packages`: run `npm install` with npm 7 or newer, which writes version 2 or 3.",
    );
  const packages = Object.keys(entries).filter((place) => place.includes("node_modules/")).length;
  return { packages, dependencies: dependencies.map((dependency) => describe(entries, dependency)) };
}

function describe(entries: Entries, dependency: Declared): LockedDependency {
  const place = findPlace(entries, "", dependency.name);
  const entry = place === undefined ? undefined : entries[place];
  const below = place === undefined ? [] : placesBelow(entries, place);
  return {
    ...dependency,
    version: entry?.version ?? null,
    source: entry === undefined ? "missing" : sourceOf(entry),
    hasIntegrity: entry?.integrity !== undefined,
    transitive: below.length,
    hasInstallScript: entry?.hasInstallScript === true,
    scriptsBelow: below
      .filter((inner) => entries[inner]!.hasInstallScript === true)
      .map(nameOf)
      .slice(0, 3),
    deprecated: entry?.deprecated?.slice(0, 200) ?? null,
    licence: entry?.license?.slice(0, 100) ?? null,
  };
}

/** As Node looks for a package: in the folder's own node_modules, then in that of each folder above. */
function findPlace(entries: Entries, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const place = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (Object.hasOwn(entries, place)) return entries[place]!.link ? (entries[place]!.resolved ?? place) : place;
    if (folder === "") return undefined;
  }
}

/** Everything that comes with a package, once each, itself left out. */
function placesBelow(entries: Entries, start: string): string[] {
  const found = new Set([start]);
  for (const place of found) {
    const { dependencies, optionalDependencies } = entries[place] ?? {};
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const inner = findPlace(entries, place, name);
      if (inner !== undefined && entries[inner] !== undefined) found.add(inner);
    }
  }
  found.delete(start);
  return [...found];
}

function sourceOf({ resolved, integrity, link }: Entry): LockedDependency["source"] {
  if (link || resolved?.startsWith("file:")) return "file";
  if (resolved?.startsWith("git")) return "git";
  // npm leaves `resolved` out when told to (omit-lockfile-registry-resolved), never the integrity of what a registry gave.
  return resolved?.startsWith("http") || integrity !== undefined ? "registry" : "file";
}

const nameOf = (place: string): string => place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length);
