import { describe, expect, test } from "@jest/globals";
import { limits } from "../contracts/limits.ts";
import { isInTurn } from "./running.ts";

const ids = (count: number): string[] => Array.from({ length: count }, (_, n) => `r_${n}`);

describe("runs that are asked about although they are known to run", () => {
  test("are all, when there are few", () => {
    const few = ids(limits.reconcileAsksMax);
    expect(few.filter((id) => isInTurn(id, few.length, 7))).toEqual(few);
  });

  test("are each one in as many rounds as it takes, and about as many in each", () => {
    const many = ids(20 * limits.reconcileAsksMax);
    const rounds = Array.from({ length: 20 }, (_, n) => many.filter((id) => isInTurn(id, many.length, 1_000 + n)));
    expect(rounds.flat().toSorted()).toEqual(many.toSorted());
    expect(Math.max(...rounds.map(({ length }) => length))).toBeLessThan(1.4 * limits.reconcileAsksMax);
  });
});
