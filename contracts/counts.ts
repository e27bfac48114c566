/**
 * How often steps were undone, by path. What happened alike to many items stands once: `{"each[0-199,205].pay": 1}`. A count only
 * grows and is told as it is, never as a difference: of two that differ, the greater is the newer.
 */
export type Counts = { [paths: string]: number };

export function packCounts(counts: Iterable<readonly [path: string, times: number]>): Counts {
  let rows: Row[] = Array.from(counts, ([path, times]) => ({ parts: path.split(/\[(\d+)\]/), times }));
  const depth = rows.reduce((most, { parts }) => Math.max(most, parts.length), 0);
  // From the inside out, so that what holds the same in many places is the same text by then.
  for (let at = depth - 2; at > 0; at -= 2) rows = together(rows, at);
  return Object.fromEntries(rows.map(({ parts, times }) => [parts.map((part, at) => (at % 2 === 0 ? part : `[${part}]`)).join(""), times]));
}

export function* unpackCounts(counts: Counts = {}): Generator<[path: string, times: number]> {
  for (const [paths, times] of Object.entries(counts)) for (const path of pathsOf(paths.split(/\[([\d,-]+)\]/))) yield [path, times];
}

/** The greater of each. */
export function mergeCounts(all: Iterable<Counts | undefined>): Map<string, number> {
  const merged = new Map<string, number>();
  for (const counts of all) for (const [path, times] of unpackCounts(counts)) merged.set(path, Math.max(times, merged.get(path) ?? 0));
  return merged;
}

/** A path and the indexes in it, by turns; an index may be a set of them. */
interface Row {
  parts: string[];
  times: number;
}

/** Rows that differ in nothing but the index there become one. */
function together(rows: readonly Row[], at: number): Row[] {
  const groups = new Map<string, { row: Row; indexes: number[] }>();
  const others: Row[] = [];
  for (const row of rows) {
    const index = row.parts[at];
    if (index === undefined) {
      others.push(row);
      continue;
    }
    const key = `${row.parts.slice(0, at).join("[")}[]${row.parts.slice(at + 1).join("[")}#${row.times}`;
    const group = groups.get(key);
    if (group) group.indexes.push(Number(index));
    else groups.set(key, { row, indexes: [Number(index)] });
  }
  return [...others, ...[...groups.values()].map(({ row, indexes }) => ({ ...row, parts: row.parts.with(at, rangesOf(indexes)) }))];
}

function rangesOf(indexes: number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const index of indexes.toSorted((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range && range[1] + 1 >= index) range[1] = index;
    else ranges.push([index, index]);
  }
  return ranges.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
}

function* pathsOf(parts: readonly string[]): Generator<string> {
  const [head = "", ranges, ...rest] = parts;
  if (ranges === undefined) {
    yield head;
    return;
  }
  const tails = [...pathsOf(rest)];
  for (const range of ranges.split(",")) {
    const [first = 0, last = first] = range.split("-").map(Number);
    for (let index = first; index <= last; index += 1) for (const tail of tails) yield `${head}[${index}]${tail}`;
  }
}
