import type { Json } from "../contracts/json.ts";
import { Fault } from "../contracts/faults.ts";

/**
 * A duration in milliseconds: `250ms 10s 5m 2h 7d`, combined such as `1h30m`, ISO 8601 (`PT5M`, `P1DT2H`, `P1W`),
 * or a number of milliseconds. Faults: expression, for anything else; months and years have no fixed length.
 */
export function parseDuration(value: Json): number {
  const ms = typeof value === "number" ? value : typeof value === "string" ? parseText(value.trim()) : undefined;
  if (ms !== undefined && Number.isFinite(ms) && ms >= 0 && ms <= durationMax) return Math.round(ms);
  throw new Fault(
    "expression",
    `${describe(value)} is not a duration; write 250ms, 10s, 5m, 2h, 7d, 1h30m, PT5M or a number of milliseconds.`,
  );
}

/** A duration above 0. */
export function isSpan(value: string | number): boolean {
  try {
    return parseDuration(value) > 0;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}

const second = 1_000;
const units: Readonly<Record<string, number>> = { ms: 1, s: second, m: 60 * second, h: 3_600 * second, d: 86_400 * second };

// A hundred years: longer waits are mistakes, and timers overflow somewhere behind them.
const durationMax = 36_525 * 86_400 * second;

const shortForm = /^(\d{1,15}(\.\d{1,9})?(ms|s|m|h|d))+$/;
const isoForm = /^P(?=[\dT])(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$/;

function parseText(text: string): number | undefined {
  if (text.length > 64) return undefined;
  if (shortForm.test(text)) return sumOfParts(text);
  const iso = isoForm.exec(text);
  if (iso === null) return undefined;
  const [weeks, days, hours, minutes, seconds] = iso.slice(1).map((part) => Number(part ?? 0));
  return ((((weeks! * 7 + days!) * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * second;
}

function sumOfParts(text: string): number {
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) ms += Number(amount) * units[unit!]!;
  return ms;
}

const describe = (value: Json): string => {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};
