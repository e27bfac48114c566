import { gzipSync, brotliCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { HttpFields } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import { startLedgerServer, type LedgerServer } from "../tests/servers/ledger-server.ts";
import { testContext } from "../tests/work-context.ts";
import { createHttp, type Http } from "./http.ts";
import { assembleUrl } from "./http-url.ts";

let ledger: LedgerServer;
let other: LedgerServer;
let http: Http;
beforeEach(async () => {
  [ledger, other] = await Promise.all([startLedgerServer(), startLedgerServer()]);
  http = createHttp({ allow: ["127.0.0.1"] });
});
afterEach(() => Promise.all([ledger.close(), other.close()]));

const call = (more: Partial<HttpFields> = {}): HttpFields => ({ method: "GET", url: [`${ledger.url}/x`], headers: {}, query: {}, ...more });

describe("a call", () => {
  test("gives status, headers and the parsed body, without cookies", async () => {
    ledger.script("/x", {
      status: 201,
      headers: { "content-type": "application/vnd.x+json; charset=utf-8", "X-Thing": "1", "set-cookie": "a=b" },
      body: '{"a":1}',
    });
    const { status, headers, body } = await http(call(), testContext());
    expect([status, body]).toEqual([201, { a: 1 }]);
    expect(headers).toMatchObject({ "x-thing": "1" });
    expect(headers).not.toHaveProperty("set-cookie");
  });

  test("gives text for any other type and null for nothing", async () => {
    ledger.script("/x", { headers: { "content-type": "text/plain" }, body: '{"a":1}' }, { status: 204, headers: {}, body: "" });
    expect((await http(call(), testContext())).body).toBe('{"a":1}');
    expect((await http(call(), testContext())).body).toBeNull();
    expect((await http(call({ method: "HEAD" }), testContext())).body).toBeNull();
  });

  test("always carries the key and the run, whatever the definition says", async () => {
    await http(call({ headers: { "Idempotency-Key": "mine", "X-Run-Id": "mine" } }), testContext());
    expect(ledger.requests[0]!.headers).toMatchObject({ "idempotency-key": "r_1:step", "x-run-id": "r_1" });
  });

  test("sends objects as JSON and strings as text, unless a content type is given", async () => {
    await http(call({ method: "POST", body: { a: [1] } }), testContext());
    await http(call({ method: "put", body: "plain" }), testContext());
    await http(call({ method: "PATCH", body: "<a/>", headers: { "Content-Type": "text/xml" } }), testContext());
    expect(ledger.requests.map(({ method, body, headers }) => [method, body, headers["content-type"]])).toEqual([
      ["POST", '{"a":[1]}', "application/json"],
      ["PUT", "plain", "text/plain; charset=utf-8"],
      ["PATCH", "<a/>", "text/xml"],
    ]);
  });

  test.each([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
  ])("reads %s", async (encoding, compress) => {
    ledger.script("/x", { headers: { "content-type": "text/plain", "content-encoding": encoding }, body: compress("hello") });
    expect((await http(call(), testContext())).body).toBe("hello");
  });

  test.each([
    ["an answer", { body: Buffer.alloc(limits.httpAnswerBytesMax + 1, "a") }],
    [
      "a small zip with a large inside",
      { headers: { "content-encoding": "gzip" }, body: gzipSync(Buffer.alloc(limits.httpAnswerBytesMax * 4)) },
    ],
  ])("refuses %s above the limit", async (_, reply) => {
    ledger.script("/x", reply);
    await expect(http(call(), testContext())).rejects.toMatchObject({ code: "limit" });
  });

  test("refuses headers that would smuggle", async () => {
    for (const headers of [
      { a: "b\r\nc: d" },
      { a: "b\nc" },
      { "a\r\nb": "c" },
      { "a b": "c" },
      { host: "x" },
      { "Transfer-Encoding": "chunked" },
      { a: "☃" },
    ] as Record<string, string>[])
      await expect(http(call({ headers }), testContext())).rejects.toMatchObject({ code: "policy" });
    await expect(http(call({ method: "CONNECT" }), testContext())).rejects.toMatchObject({ code: "policy" });
    expect(ledger.requests).toHaveLength(0);
  });

  test("refuses a body that holds the reserved key", async () => {
    ledger.script("/x", { body: '{"a":{"$tenutoRef":"00"}}' });
    await expect(http(call(), testContext())).rejects.toMatchObject({ code: "reserved_key" });
  });
});

describe("a call that fails", () => {
  test.each([400, 401, 403, 404, 409, 410, 422])("%i is not retried", async (status) => {
    ledger.script("/x", { status, body: '{"why":"so"}' });
    await expect(http(call(), testContext())).rejects.toMatchObject({
      problem: { code: "http", type: "http", status, body: { why: "so" }, retryable: false },
    });
  });

  test.each([408, 425, 429, 500, 502, 503, 504])("%i is retried when the server says", async (status) => {
    ledger.script("/x", { status, headers: { "retry-after": "3" }, body: "later" });
    await expect(http(call(), testContext())).rejects.toMatchObject({
      problem: { status, body: "later", retryable: true, retryAfterMs: 3_000 },
    });
  });

  test("shows at most 2 KB of a long answer", async () => {
    ledger.script("/x", { status: 500, headers: { "content-type": "text/html" }, body: "x".repeat(9_000_000) });
    const fault = await http(call(), testContext()).catch((error: { problem: { body: string } }) => error);
    expect(String((fault as { problem: { body: string } }).problem.body)).toHaveLength(2_049);
  });

  test("is judged by `expect`", async () => {
    ledger.script("/x", { status: 404, body: "{}" }, { status: 200 }, { status: 302, headers: { location: "/y" } });
    expect(await http(call({ expect: [404] }), testContext())).toMatchObject({ status: 404, body: {} });
    await expect(http(call({ expect: [404] }), testContext())).rejects.toMatchObject({ problem: { status: 200, retryable: false } });
    expect(await http(call({ expect: [302] }), testContext())).toMatchObject({ status: 302 });
  });

  test.each(["before", "middle"] as const)("is retried when the connection is cut (%s)", async (cut) => {
    ledger.script("/x", { cut, body: "x".repeat(1_000) });
    await expect(http(call(), testContext())).rejects.toMatchObject({ problem: { code: "http", status: 502, retryable: true } });
    expect(ledger.calls("/x")).toHaveLength(1);
  });

  test("is retried when nobody listens", async () => {
    await other.close();
    await expect(http(call({ url: [other.url] }), testContext())).rejects.toMatchObject({ problem: { code: "http", retryable: true } });
    other = await startLedgerServer();
  });

  test("times out, also in the middle of a body", async () => {
    ledger.script("/x", { delayMs: 3_000 });
    await expect(http(call(), testContext({ timeoutMs: 80 }))).rejects.toMatchObject({ code: "timeout" });
  });

  test("ends with the reason of its cancellation", async () => {
    ledger.script("/x", { delayMs: 3_000 });
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error("stop")), 30);
    await expect(http(call(), testContext({ signal: stop.signal }))).rejects.toThrow("stop");
  });

  test("is not retried for JSON that is none", async () => {
    ledger.script("/x", { body: "{", headers: { "content-type": "application/json" } });
    await expect(http(call(), testContext())).rejects.toMatchObject({ problem: { code: "http", retryable: false } });
  });
});

describe("a redirect", () => {
  test.each([
    [301, "POST", "GET"],
    [302, "POST", "GET"],
    [302, "PUT", "PUT"],
    [303, "PUT", "GET"],
    [307, "POST", "POST"],
    [308, "POST", "POST"],
  ])("%i of %s goes on as %s", async (status, method, then) => {
    ledger.script("/x", { status, headers: { location: "/y?a=1" } });
    await http(call({ method, body: { a: 1 }, headers: { authorization: "secret" } }), testContext());
    const last = ledger.requests.at(-1)!;
    expect([last.path, last.method, last.body, last.headers["authorization"]]).toEqual([
      "/y?a=1",
      then,
      then === "GET" ? "" : '{"a":1}',
      "secret",
    ]);
  });

  test("takes no secret to another origin", async () => {
    ledger.script("/x", { status: 307, headers: { location: `${other.url}/y` } });
    await http(
      call({ method: "POST", body: "a", headers: { Authorization: "secret", Cookie: "secret", "X-Api-Key": "secret", Accept: "a/b" } }),
      testContext(),
    );
    expect(JSON.stringify(other.requests[0]!.headers)).not.toContain("secret");
    expect(other.requests[0]!.headers).toMatchObject({
      accept: "a/b",
      "idempotency-key": "r_1:step",
      "content-type": "text/plain; charset=utf-8",
    });
  });

  test("ends after five", async () => {
    ledger.script("/x", ...Array.from({ length: 9 }, () => ({ status: 302, headers: { location: "/x" } })));
    await expect(http(call(), testContext())).rejects.toMatchObject({ problem: { code: "http", retryable: false } });
    expect(ledger.requests).toHaveLength(6);
  });
});

describe("a URL", () => {
  const url = (...parts: HttpFields["url"]): string => assembleUrl(parts, {}).href;

  test("takes values as one path segment or one query value", () => {
    expect(url("https://a.io/u/", { value: "a/b?c#d&e=f é" }, "/x?q=", { value: "1&2=3" })).toBe(
      "https://a.io/u/a%2Fb%3Fc%23d%26e%3Df%20%C3%A9/x?q=1%262%3D3",
    );
    expect(url("https://a.io/", { value: 7 }, "/", { value: true })).toBe("https://a.io/7/true");
  });

  test("takes its server from a leading value only", () => {
    expect(url({ value: "https://a.io/base" }, "/x/", { value: "y" })).toBe("https://a.io/base/x/y");
    for (const parts of [
      ["https://", { value: "evil.io" }, "/x"],
      ["https://a.io", { value: ".evil.io" }],
      ["https://a.io", { value: "@evil.io/" }],
      [{ value: "https://a.io" }, { value: ":1@evil.io" }],
      ["http", { value: "s://evil.io/" }],
    ] as HttpFields["url"][])
      expect(() => assembleUrl(parts, {})).toThrow(expect.objectContaining({ code: "policy" }));
  });

  test.each([".", "..", "%2e%2e", "%2E.", "%252e%252e", "../x", "a/../b", "..\\x"])("refuses %s as a value in its path", (value) => {
    expect(() => url("https://a.io/u/", { value }, "/x")).toThrow(expect.objectContaining({ code: "policy" }));
  });

  test("refuses dots that text and value make together", () => {
    expect(() => url("https://a.io/u/.", { value: "." }, "/x")).toThrow(expect.objectContaining({ code: "policy" }));
    expect(() => url({ value: "https://a.io/u/.." }, "/x")).toThrow(expect.objectContaining({ code: "policy" }));
  });

  test("takes query fields: lists as repeated names, null as absent", () => {
    expect(assembleUrl(["https://a.io/x?a=1"], { b: ["x y", 2], c: null, d: { e: 1 }, "f&g": true }).href).toBe(
      "https://a.io/x?a=1&b=x%20y&b=2&d=%7B%22e%22%3A1%7D&f%26g=true",
    );
  });

  test.each([[null], [{}], [[]]])("refuses %j as a value", (value) => {
    expect(() => url("https://a.io/", { value })).toThrow(
      expect.objectContaining({ problem: expect.objectContaining({ retryable: false }) }),
    );
  });

  test("no value leaves its segment", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        let made: URL;
        try {
          made = assembleUrl(["https://a.io/u/", { value }, "/end?q=", { value }], {});
        } catch (error) {
          expect(error).toMatchObject({ name: "Fault" });
          return;
        }
        expect([made.host, made.pathname.split("/").length, made.pathname.endsWith("/end"), [...made.searchParams.keys()]]).toEqual([
          "a.io",
          4,
          true,
          ["q"],
        ]);
        expect([decodeURIComponent(made.pathname.split("/")[2]!), made.searchParams.get("q")]).toEqual([value, value]);
      }),
    );
  });
});
