import { createHmac } from "node:crypto";
import { expect, test } from "@jest/globals";
import { isSigned } from "./webhook-signature.ts";

// The example of the specification.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const known = {
  id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
  timestamp: "1614265330",
  signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  body: Buffer.from('{"test": 2432232314}'),
};
const then = 1_614_265_330_000;

test("the specification's example is signed", () => {
  expect(isSigned(known, secret, then)).toBe(true);
});

test("one of several signatures is enough", () => {
  expect(isSigned({ ...known, signature: `v1,AAAA v1a,xyz ${known.signature}` }, secret, then)).toBe(true);
});

test("any text is a secret too", () => {
  const signature = `v1,${createHmac("sha256", "a plain text").update(`${known.id}.${known.timestamp}.${known.body.toString()}`).digest("base64")}`;
  expect(isSigned({ ...known, signature }, "a plain text", then)).toBe(true);
});

test.each([
  ["another body", { body: Buffer.from("{}") }],
  ["another id", { id: "msg_other" }],
  ["no id", { id: "" }],
  ["another time", { timestamp: "1614265331" }],
  ["a time that is no number", { timestamp: "1e9" }],
  ["no signature", { signature: "" }],
  ["another scheme", { signature: known.signature.replace("v1,", "v2,") }],
])("%s is refused", (_, change) => {
  expect(isSigned({ ...known, ...change }, secret, then)).toBe(false);
});

test("more than five minutes from now is refused, before as after", () => {
  expect([-301, -299, 299, 301].map((seconds) => isSigned(known, secret, then + seconds * 1_000))).toEqual([false, true, true, false]);
});
