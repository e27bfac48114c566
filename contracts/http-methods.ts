/** What a method of HTTP says of a call (RFC 9110, 9.2): what its server does with it, nobody knows. */

/** It changes nothing. */
export const isReadMethod = (method = "GET"): boolean => reads.has(method.toUpperCase());

/** Done twice it comes to the same as done once. */
export const isIdempotentMethod = (method: string): boolean => idempotent.has(method.toUpperCase());

const reads: ReadonlySet<string> = new Set(["GET", "HEAD"]);
const idempotent: ReadonlySet<string> = new Set([...reads, "OPTIONS", "PUT", "DELETE"]);
