import { describe, expect, test } from "@jest/globals";
import { allParts, lotsOf, sweep } from "./sweep.ts";

const some = Array.from({ length: 45 }, (_, index) => index);

describe("a sweep", () => {
  test("works on twenty at a time and beats after each lot", async () => {
    const seen: string[] = [];
    for await (const lot of lotsOf(some, () => seen.push("beat"))) seen.push(`${lot[0]}-${lot.at(-1)}`);
    expect(seen).toEqual(["0-19", "beat", "20-39", "beat", "40-44", "beat"]);
  });

  test("goes on behind one that fails", async () => {
    const done: number[] = [];
    const skipped: number[] = [];
    const work = async (item: number): Promise<void> => {
      if (item % 10 === 3) throw new Error("away");
      done.push(item);
    };
    await sweep(some, { beat: () => undefined, work, skip: (item) => skipped.push(item) });
    expect([skipped, done.length]).toEqual([[3, 13, 23, 33, 43], 40]);
  });

  test("ends when nobody wants it any more", async () => {
    const done: number[] = [];
    const beat = (): never => {
      throw new Error("canceled");
    };
    const work = async (item: number): Promise<unknown> => done.push(item);
    await expect(sweep(some, { beat, work, skip: () => undefined })).rejects.toThrow("canceled");
    expect(done).toHaveLength(20);
  });
});

test("a part that fails keeps none of the others from its work, and is told of in the end", async () => {
  const done: string[] = [];
  const part = (name: string) => async (): Promise<number> => done.push(name);
  const fails = async (): Promise<never> => {
    throw new Error("away");
  };
  await expect(allParts({ one: part("one"), two: fails, three: part("three"), four: fails })).rejects.toThrow("two: away; four: away");
  expect(done).toEqual(["one", "three"]);
  expect(await allParts({ four: async () => 4, five: async () => 5 })).toBe(9);
});
