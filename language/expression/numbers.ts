import { parseDuration } from "../duration.ts";
import { failure, finite } from "./values.ts";
import { quote } from "./texts.ts";
import type { Call } from "./functions.ts";

export const calculate =
  (calculation: (value: number) => number) =>
  (call: Call, value: number): number =>
    finite(calculation(value), call.where);

/** Half away from zero, as in CEL. */
export function round(call: Call, value: number, digits = 0): number {
  if (!Number.isInteger(digits) || digits < 0 || digits > 12) throw failure(`round takes 0 to 12 digits, not ${digits}.`);
  const scale = 10 ** digits;
  const scaled = Math.abs(value) * scale;
  // A number this large has no digits behind the point to round.
  if (scaled >= Number.MAX_SAFE_INTEGER) return value;
  // 1.005 * 100 is 100.49999999999999: fifteen digits are what a double is exact to.
  return finite((Math.sign(value) * Math.round(Number(scaled.toPrecision(15)))) / scale, call.where);
}

export const duration = (_: Call, text: string): number => parseDuration(text);

const isoForm = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/;

export function millis(_: Call, text: string): number {
  const ms = momentOf(text);
  if (!Number.isNaN(ms)) return ms;
  if (isoForm.test(text)) throw failure(`${quote(text)} names a day or time that does not exist.`);
  throw failure(`${quote(text)} is not a moment; write it as 2026-07-01T09:30:00Z, with Z or an offset such as +02:00.`);
}

/** Milliseconds since 1970; NaN when it is none. Without a zone the same text would be another moment on another machine. */
export function momentOf(text: string): number {
  const parts = isoForm.exec(text);
  if (parts === null) return Number.NaN;
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) return Number.NaN;
  const fraction = Math.floor(Number(parts[7] ?? 0) * 1_000);
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1_000 + fraction - offsetOf(parts[8]!);
}

function offsetOf(zone: string): number {
  if (zone === "Z") return 0;
  const digits = zone.slice(1).replace(":", "");
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  return (zone.startsWith("-") ? -1 : 1) * minutes * 60_000;
}

export function iso(_: Call, ms: number): string {
  if (Math.abs(ms) > 253_402_300_799_999) throw failure(`${ms} is too far away for a date; iso takes milliseconds since 1970.`);
  return new Date(ms).toISOString();
}
