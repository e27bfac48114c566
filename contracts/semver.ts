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

/** The default version of a workflow: the highest. */
export const highestVersion = (versions: readonly string[]): string | undefined => versions.toSorted(compareVersions).at(-1);

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
