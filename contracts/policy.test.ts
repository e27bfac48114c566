import { expect, test } from "@jest/globals";
import { allows, allowsHost, toolName } from "./policy.ts";

const host = (list: string[] | undefined, url: string): boolean => allowsHost(list, new URL(url));

test("an absent list lets everything pass, an empty one nothing", () => {
  expect([allows(undefined, "a"), allows([], "a")]).toEqual([true, false]);
  expect([host(undefined, "https://a.io"), host([], "https://a.io")]).toEqual([true, false]);
});

test("names fit as a whole, or up to the star", () => {
  const list = ["files.*", "crm.addNote", "github/*"];
  expect(["files.readText", "crm.addNote", "github/search"].every((name) => allows(list, name))).toBe(true);
  expect(["file", "crm.addNotes", "xfiles.read", toolName({ tool: "search", server: "gitlab" })].some((name) => allows(list, name))).toBe(
    false,
  );
});

test("hosts fit by name, below a name, and by port", () => {
  const list = ["api.example.com", "*.shop.io", "localhost:8080"];
  expect(["https://API.example.com./x", "http://eu.shop.io:99/", "http://localhost:8080"].every((url) => host(list, url))).toBe(true);
  expect(
    ["https://example.com", "https://shop.io", "https://evilshop.io", "http://localhost", "https://api.example.com.evil.io"].some((url) =>
      host(list, url),
    ),
  ).toBe(false);
  expect(host(["a.io:443"], "https://a.io")).toBe(true);
});
