import { expect, test } from "@jest/globals";
import { Lately } from "./lately.ts";

/** Counts what is read; answers when told to. */
class Shelf {
  reads = 0;
  #answers: ((value: Promise<number>) => void)[] = [];

  read = (): Promise<number> => {
    this.reads += 1;
    const number = this.reads;
    return new Promise<number>((resolve) => this.#answers.push((value) => resolve(value.then(() => number))));
  };

  answer(value: Promise<unknown> = Promise.resolve()): void {
    for (const each of this.#answers.splice(0)) each(value.then(() => 0));
  }
}

test("a hundred who ask at the same moment are one question", async () => {
  const shelf = new Shelf();
  const lately = new Lately<number>({ knownMs: 60_000, keysMax: 10 });
  const asked = Array.from({ length: 100 }, () => lately.get("a", shelf.read));
  shelf.answer();
  expect(new Set(await Promise.all(asked))).toEqual(new Set([1]));
  expect(await lately.get("a", shelf.read)).toBe(1);
});

test("it is asked again after its time, which began with the question", async () => {
  const shelf = new Shelf();
  const lately = new Lately<number>({ knownMs: 30, keysMax: 10 });
  const first = lately.get("a", shelf.read);
  await new Promise((later) => setTimeout(later, 40));
  const second = lately.get("a", shelf.read);
  shelf.answer();
  expect([await first, await second]).toEqual([1, 2]);
});

test("a question that fails is nobody's answer later", async () => {
  const shelf = new Shelf();
  const lately = new Lately<number>({ knownMs: 60_000, keysMax: 10 });
  const failing = lately.get("a", shelf.read);
  shelf.answer(Promise.reject(new Error("away")));
  await expect(failing).rejects.toThrow("away");
  const next = lately.get("a", shelf.read);
  shelf.answer();
  expect(await next).toBe(2);
});
