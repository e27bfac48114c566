import { expect, test } from "@jest/globals";
import { timezoneProblem } from "./timezone.ts";

test.each([
  "Europe/Berlin",
  "UTC",
  "Etc/UTC",
  "Etc/GMT+5",
  "GB-Eire",
  "W-SU",
  "NZ-CHAT",
  "EST5EDT",
  "Asia/Kolkata",
  "America/Port_of_Spain",
])("%s is a timezone, also when it has another name", (name) => expect(timezoneProblem(name)).toBeUndefined());

test.each([
  ["europe/berlin", "Europe/Berlin"],
  ["EUROPE/BERLIN", "Europe/Berlin"],
  ["utc", "UTC"],
  ["us/pacific", "as IANA does"],
  ["PACIFIC/SAMOA", "as IANA does"],
  ["Mars/Olympus", "an IANA name"],
  ["+01:00", "an IANA name"],
  ["Local", "an IANA name"],
])("%s is none that Temporal takes", (name, meant) => expect(timezoneProblem(name)).toContain(meant));
