import { expect, test } from "@jest/globals";
import { quietAfterCancel } from "./quiet-after-cancel.ts";
import { wellRun } from "./sample.ts";

const canceledAt = (time: number): string[] => quietAfterCancel({ ...wellRun(), cancels: [{ run: "r", time }] });

test("calls within 5 s of the cancel hold", () => expect(canceledAt(-3_000)).toEqual([]));

test("a call later than that breaks it", () => expect(canceledAt(-3_001)).toEqual(["r b was called 5001 ms after the run was canceled"]));

test("calls of runs that nobody cancels hold", () => expect(quietAfterCancel(wellRun())).toEqual([]));
