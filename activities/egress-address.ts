import { BlockList, isIP, isIPv4 } from "node:net";

/** Whether an IP address belongs to the public internet, also when it carries another address inside. */
export function isPublicAddress(address: string): boolean {
  const plain = address.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  if (isIP(plain) === 0) return false;
  if (isIPv4(plain)) return !blocked.check(plain, "ipv4");
  // The v4 rules match ::ffff:a.b.c.d as well.
  return !blocked.check(plain, "ipv6") && embeddedV4(groupsOf(plain)).every((inner) => !blocked.check(inner, "ipv4"));
}

const blocked = new BlockList();

/** IANA's special-purpose registries: nothing here is a server somebody means to call over the internet. */
const reservedV4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8",
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8",
  "169.254.0.0/16", // link-local: cloud metadata
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24", // documentation
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, broadcast
];

const reservedV6 = [
  "::/128",
  "::1/128",
  "64:ff9b:1::/48", // local NAT64
  "100::/64", // discard
  "100:0:0:1::/64",
  "2001:2::/48", // benchmarks
  "2001:10::/28",
  "2001:20::/28",
  "2001:db8::/32", // documentation
  "3fff::/20",
  "5f00::/16",
  "fc00::/7", // unique local
  "fe80::/10",
  "fec0::/10", // site-local
  "ff00::/8",
];

for (const [family, ranges] of [
  ["ipv4", reservedV4],
  ["ipv6", reservedV6],
] as const)
  for (const range of ranges) {
    const [network, bits] = range.split("/");
    blocked.addSubnet(network!, Number(bits), family);
  }

/** IPv4 addresses that gateways take out of an IPv6 address. */
function embeddedV4(groups: number[]): string[] {
  const [first, second] = groups as [number, number];
  const found: string[] = [];
  const last = v4Of(groups[6]!, groups[7]!);
  const startsWithZeros = (count: number): boolean => groups.slice(0, count).every((group) => group === 0);
  // ::a.b.c.d, ::ffff:a.b.c.d, ::ffff:0:a.b.c.d
  if (startsWithZeros(6) || (startsWithZeros(5) && groups[5] === 0xffff) || (startsWithZeros(4) && groups[4] === 0xffff)) found.push(last);
  if (first === 0x64 && second === 0xff9b) found.push(last); // NAT64
  if (first === 0x2002) found.push(v4Of(second, groups[2]!)); // 6to4
  if (first === 0x2001 && second === 0) found.push(v4Of(groups[2]!, groups[3]!), v4Of(~groups[6]! & 0xffff, ~groups[7]! & 0xffff)); // Teredo
  if ((groups[4]! & 0xfdff) === 0 && groups[5] === 0x5efe) found.push(last); // ISATAP
  return found;
}

const v4Of = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join(".");

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (a: string, b: string): string => ((Number(a) << 8) | Number(b)).toString(16);
  const text = dotted ? `${dotted[1]}${hex(dotted[2]!, dotted[3]!)}:${hex(dotted[4]!, dotted[5]!)}` : address;
  const [head, tail] = text.split("::").map((part) => (part === "" ? [] : part.split(":")));
  const zeros = tail ? Array<string>(8 - head!.length - tail.length).fill("0") : [];
  return [...head!, ...zeros, ...(tail ?? [])].map((group) => Number.parseInt(group, 16));
}
