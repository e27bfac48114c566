/** Parts of a version that decide its place; build metadata (`+…`) does not. */
interface Version {
  core: bigint[];
  /** Empty = a release. */
  pre: string[];
}

const pattern = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/;

export const isVersion = (text: string): boolean => pattern.test(text);

/** Negative when `a` comes before `b` (semver.org, item 11). A text that is no version comes before every version. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parseVersion(a), parseVersion(b)];
  if (!left || !right) return (left ? 1 : 0) - (right ? 1 : 0) || compare(a, b);
  return compareLists(left.core, right.core, compare) || comparePrereleases(left.pre, right.pre);
}

/** Ranges that people may ask for: `1.2.3`, `^1.2`, `~1.2.0`, `1`, `1.2`, `*`. */
export const RANGE_PATTERN = "^(\\*|[~^]?\\d+(\\.\\d+){0,2}(-[0-9A-Za-z.-]+)?)$";

/** Whether a version lies in a range. Pre-releases only in a range that names them. */
export function satisfies(version: string, range: string): boolean {
  const given = parseVersion(version);
  const match = /^([~^]?)(\d+)(?:\.(\d+))?(?:\.(\d+))?(-.+)?$/.exec(range);
  if (!given) return false;
  if (!match) return range === "*" && given.pre.length === 0;
  const [, sign, major, minor, patch, pre] = match;
  if (sign === "" && patch !== undefined) return compareVersions(version, range) === 0;
  if (given.pre.length > 0 && pre === undefined) return false;
  const floor = `${major}.${minor ?? 0}.${patch ?? 0}${pre ?? ""}`;
  return compareVersions(version, floor) >= 0 && isBelow(given.core, ceiling(sign!, [major, minor, patch]));
}

/** The first core beyond a range. */
function ceiling(sign: string, [major, minor, patch]: (string | undefined)[]): bigint[] {
  const core = [major, minor ?? "0", patch ?? "0"].map((part) => BigInt(part!));
  // A caret keeps the first part that is not 0; what is not named is free.
  const firstKept = core.findIndex((part) => part !== 0n);
  const named = minor === undefined ? 0 : patch === undefined || sign === "~" ? 1 : 2;
  const kept = sign === "^" ? (firstKept < 0 ? named : Math.min(firstKept, named)) : Math.min(named, 1);
  return core.map((part, at) => (at < kept ? part : at === kept ? part + 1n : 0n));
}

const isBelow = (core: bigint[], limit: bigint[]): boolean => compareLists(core, limit, compare) < 0;

/** For sorting; those that differ in build metadata alone stand in the order of their texts. */
export const newestFirst = (a: { version: string }, b: { version: string }): number =>
  compareVersions(b.version, a.version) || compare(a.version, b.version);

/** Of a name's versions the first is the one that counts when none is named: the highest release; a pre-release only where there is none. */
export const leadingFirst = (a: { version: string }, b: { version: string }): number =>
  Number(isPrerelease(a.version)) - Number(isPrerelease(b.version)) || newestFirst(a, b);

const isPrerelease = (version: string): boolean => (parseVersion(version)?.pre.length ?? 0) > 0;

function parseVersion(text: string): Version | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  return { core: [match[1]!, match[2]!, match[3]!].map(BigInt), pre: match[4]?.split(".") ?? [] };
}

function comparePrereleases(a: string[], b: string[]): number {
  if (a.length === 0 || b.length === 0) return (a.length === 0 ? 1 : 0) - (b.length === 0 ? 1 : 0);
  return compareLists(a, b, compareIdentifiers);
}

function compareIdentifiers(a: string, b: string): number {
  const [leftNumber, rightNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (leftNumber && rightNumber) return compare(BigInt(a), BigInt(b));
  if (leftNumber !== rightNumber) return leftNumber ? -1 : 1;
  return compare(a, b);
}

function compareLists<T>(a: T[], b: T[], order: (left: T, right: T) => number): number {
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const result = order(a[index]!, b[index]!);
    if (result !== 0) return result;
  }
  return a.length - b.length;
}

const compare = <T extends bigint | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
