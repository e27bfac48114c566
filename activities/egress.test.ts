import type { LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { HttpFields } from "../contracts/activities.ts";
import { startLedgerServer, type LedgerServer } from "../tests/servers/ledger-server.ts";
import { testContext } from "../tests/work-context.ts";
import { isPublicAddress } from "./egress-address.ts";
import { createHttp } from "./http.ts";

const get = (url: string): HttpFields => ({ method: "GET", url: [url], headers: {}, query: {} });

/** Resolves every name to the same addresses. */
const resolvesTo =
  (...addresses: string[]): LookupFunction =>
  (_name, options, callback) => {
    const found: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    if (options.all) callback(null, found);
    else callback(null, found[0]!.address, found[0]!.family);
  };

let ledger: LedgerServer;
beforeEach(async () => void (ledger = await startLedgerServer()));
afterEach(() => ledger.close());

describe("a call that would stay inside is refused before a byte is sent", () => {
  const spellings = [
    "http://127.0.0.1",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://017700000001",
    "http://0x7f.1",
    "http://①②⑦.0.0.1",
    "http://127.0.0.1.",
    "http://127。0。0。1",
    "http://0",
    "http://0.0.0.0",
    "http://localhost",
    "http://LOCALHOST",
    "http://localhost.",
    "http://api.localhost",
    "http://[::1]",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://[::127.0.0.1]",
    "http://[::ffff:0:127.0.0.1]",
    "http://[64:ff9b::127.0.0.1]",
    "http://[64:ff9b:1::1]",
    "http://[2002:7f00:1::]",
    "http://[2001:0:7f00:1::]",
    "http://[2001::ffff:80ff:fffe]",
    "http://[fe80::5efe:127.0.0.1]",
    "http://[2600::5efe:10.0.0.1]",
    "http://[fd00::1]",
    "http://[fe80::1]",
    "http://[fec0::1]",
    "http://[ff02::1]",
    "http://[2001:db8::1]",
    "http://10.0.0.1",
    "http://172.16.0.1",
    "http://172.31.255.255",
    "http://192.168.1.1",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1",
    "http://100.127.255.255",
    "http://192.0.2.1",
    "http://198.51.100.1",
    "http://203.0.113.1",
    "http://198.18.0.1",
    "http://192.0.0.1",
    "http://224.0.0.1",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://user:pass@127.0.0.1",
    "http://example.com@127.0.0.1",
    "http://user:pass@example.com",
    "http:\\\\127.0.0.1",
    "http://\t127.0.0.1",
    "ftp://example.com",
    "file:///etc/passwd",
    "gopher://127.0.0.1",
  ];
  test.each(spellings)("%s", async (url) => {
    const http = createHttp({ allow: [], lookup: resolvesTo("127.0.0.1") });
    await expect(http(get(url), testContext())).rejects.toMatchObject({ code: url.includes("\t") ? "http" : "policy" });
  });

  test.each([["127.0.0.1"], ["10.1.2.3"], ["::1"], ["::ffff:10.0.0.1"], ["fd12::1"], ["93.184.216.34", "127.0.0.1"], ["169.254.169.254"]])(
    "a name that resolves to %s",
    async (...addresses) => {
      const http = createHttp({ allow: [], lookup: resolvesTo(...addresses) });
      await expect(http(get(`http://rebind.example:${ledger.port}/`), testContext())).rejects.toMatchObject({ code: "policy" });
      expect(ledger.requests).toHaveLength(0);
    },
  );

  test("a name whose resolver lies about the address it gives", async () => {
    let asked = 0;
    // Public when checked as a list, loopback when the socket asks: the connected address decides.
    const turncoat: LookupFunction = (name, options, callback) => {
      asked++;
      const address = {
        get address() {
          return asked++ > 1 ? "127.0.0.1" : "93.184.216.34";
        },
        family: 4,
      };
      if (options.all) callback(null, [address as LookupAddress]);
      else resolvesTo("127.0.0.1")(name, options, callback);
    };
    const http = createHttp({ allow: [], lookup: turncoat });
    await expect(http(get(`http://rebind.example:${ledger.port}/`), testContext())).rejects.toMatchObject({ code: "policy" });
    expect(ledger.requests).toHaveLength(0);
  });
});

describe("an allowed host", () => {
  test("is called by name and port, and only at that port", async () => {
    const http = createHttp({ allow: [`127.0.0.1:${ledger.port}`] });
    expect(await http(get(`${ledger.url}/a`), testContext())).toMatchObject({ status: 200 });
    await expect(http(get("http://127.0.0.1:1/a"), testContext())).rejects.toMatchObject({ code: "policy" });
  });

  test("may be a name that resolves to a private address", async () => {
    const http = createHttp({ allow: ["localhost"] });
    expect(await http(get(`http://LOCALHOST:${ledger.port}/a`), testContext())).toMatchObject({ status: 200 });
  });

  test("does not open the door to where it redirects", async () => {
    const http = createHttp({ allow: [`127.0.0.1:${ledger.port}`] });
    for (const location of [
      "http://127.0.0.1:1/",
      "http://localhost/",
      "http://[::1]/",
      "//10.0.0.1/",
      "http://u:p@example.com/",
      "file:///etc/passwd",
    ]) {
      ledger.script("/away", { status: 302, headers: { location } });
      await expect(http(get(`${ledger.url}/away`), testContext())).rejects.toMatchObject({ code: "policy" });
    }
  });

  test("is checked at every hop of a chain", async () => {
    const http = createHttp({ allow: [`127.0.0.1:${ledger.port}`] });
    ledger.script("/1", { status: 302, headers: { location: "/2" } });
    ledger.script("/2", { status: 307, headers: { location: "http://169.254.169.254/latest" } });
    await expect(http(get(`${ledger.url}/1`), testContext())).rejects.toMatchObject({ code: "policy" });
    expect(ledger.requests.map(({ path }) => path)).toEqual(["/1", "/2"]);
  });
});

describe("public addresses", () => {
  test.each([
    "93.184.216.34",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450:4001::8a",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2002:101:101::",
  ])("%s", (address) => expect(isPublicAddress(address)).toBe(true));

  test("a private IPv4 address is private in every IPv6 clothing", () => {
    const inner = fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 }))
      .map((rest) => [10, ...rest]);
    fc.assert(
      fc.property(inner, ([a, b, c, d]) => {
        const dotted = `${a}.${b}.${c}.${d}`;
        const [high, low] = [((a! << 8) | b!).toString(16), ((c! << 8) | d!).toString(16)];
        const clothed = [
          dotted,
          `::${dotted}`,
          `::ffff:${dotted}`,
          `::ffff:${high}:${low}`,
          `64:ff9b::${dotted}`,
          `2002:${high}:${low}::1`,
          `2001:0:${high}:${low}::`,
        ];
        expect(clothed.filter(isPublicAddress)).toEqual([]);
      }),
    );
  });

  test.each(["", "nonsense", "1.2.3", "::g"])("%p is no address, hence not public", (text) => expect(isPublicAddress(text)).toBe(false));
});
