import { messageOf } from "../contracts/faults.ts";

/** Says that the work goes on, and throws when nobody wants it any more. */
export type Beat = () => void;

/** So many at the same time. */
const abroad = 20;

/** Lots of what may be worked on at the same time, with a beat after each: one call takes 10 s at most, thousands of them take what they take. */
export async function* lotsOf<Item>(items: AsyncIterable<Item> | Iterable<Item>, beat: Beat): AsyncGenerator<Item[]> {
  let lot: Item[] = [];
  for await (const item of items) {
    if (lot.push(item) < abroad) continue;
    yield lot;
    beat();
    lot = [];
  }
  if (lot.length === 0) return;
  yield lot;
  beat();
}

/** Work on all of them in lots; who fails is told of, and fails no other. */
export async function sweep<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  { beat, work, skip }: { beat: Beat; work: (item: Item) => Promise<unknown>; skip: (item: Item, error: unknown) => void },
): Promise<void> {
  for await (const lot of lotsOf(items, beat))
    await Promise.all(lot.map((item) => work(item).catch((error: unknown) => skip(item, error))));
}

/** One part after the other, each whatever became of those before it; gives the sum. Throws in the end when any has failed. */
export async function allParts(parts: Record<string, () => Promise<number>>): Promise<number> {
  let sum = 0;
  const failed: string[] = [];
  const causes: unknown[] = [];
  for (const [name, part] of Object.entries(parts)) {
    try {
      sum += await part();
    } catch (error) {
      failed.push(`${name}: ${messageOf(error)}`);
      causes.push(error);
    }
  }
  if (failed.length > 0) throw new Error(failed.join("; "), { cause: causes[0] });
  return sum;
}
