import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeCursor, encodeCursor, pageOf, placeMax } from "./cursor.ts";

test("a cursor leads back to its place and stands in a URL as it is", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: placeMax.seq }), fc.stringMatching(/^[A-Za-z0-9_.~[\]-]{0,80}$/), (number, text) => {
      const cursor = encodeCursor([number, text]);
      expect(encodeURIComponent(cursor)).toBe(cursor);
      expect(decodeCursor(cursor, placeMax.seq)).toEqual([number, text]);
    }),
  );
});

test("any other text is refused as a bad request, never a crash", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      try {
        decodeCursor(text, placeMax.time);
      } catch (error) {
        expect(error).toMatchObject({ code: "bad_request" });
      }
    }),
  );
});

test("a forged cursor cannot carry what Postgres does not take", () => {
  for (const forged of [[-1, "a"], [1.5, "a"], [placeMax.seq + 1, "a"], [1, "\0"], [1, "\ud800"], ["1", "a"], [1], {}]) {
    const cursor = Buffer.from(JSON.stringify(forged)).toString("base64url");
    expect(() => decodeCursor(cursor, placeMax.seq)).toThrow("not one of ours");
  }
});

test("a page says whether there is more and where it begins", () => {
  const view = { item: (row: number) => ({ row }), cursor: (row: number) => `after ${row}` };
  expect(pageOf([1, 2, 3], 2, view)).toEqual({ data: [{ row: 1 }, { row: 2 }], page: { next: "after 2", hasMore: true } });
  expect(pageOf([1, 2], 2, view)).toEqual({ data: [{ row: 1 }, { row: 2 }], page: { next: null, hasMore: false } });
});
