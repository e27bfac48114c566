import { describe, expect, test } from "@jest/globals";
import { childRunId, deliveryWorkflowId, OWN_RUN_ID_PATTERN, RUN_ID_PATTERN, runIdOf } from "./ids.ts";
import { limits } from "./limits.ts";

const isRunId = (id: string): boolean => new RegExp(RUN_ID_PATTERN).test(id);
const isOwn = (id: string): boolean => new RegExp(OWN_RUN_ID_PATTERN).test(id);
const made = "r_0123456789abcdefghjkmnpqrs";

describe("a run's id", () => {
  test.each(["order-4711", "R_1", "0123456789abcdefghjkmnpqrs", "x".repeat(limits.ownRunIdMax)])("is made of an own id: %s", (own) => {
    expect(isOwn(own)).toBe(true);
    expect(isRunId(runIdOf("acme", own))).toBe(true);
    expect(runIdOf("acme", own)).not.toBe(runIdOf("other", own));
  });

  test.each([made, `${made}.call`, "r_acme_order-4711", "r_acme_order-4711.each-3.call"])("is left as it is when it is whole: %s", (id) => {
    expect([isRunId(id), isOwn(id), runIdOf("acme", id)]).toEqual([true, false, id]);
  });

  test("is no made id, whatever the tenant and the own id are", () => {
    expect(new RegExp(RUN_ID_PATTERN).exec(runIdOf("r", made.slice("r_".length)))?.[1]).not.toMatch(/^[0-9a-z]{26}$/);
  });

  test("of a deep child begins with the run above all, and fits into Temporal's column", () => {
    const root = runIdOf("t".repeat(32), "x".repeat(limits.ownRunIdMax));
    const child = childRunId(`${root}.a`, "b".repeat(300), () => "0b0a4d0e-9f6c-4a1e-8d0c-2f6b1c0a9e11");
    expect(child.startsWith(`${root}.x-`)).toBe(true);
    expect(child.length).toBeLessThanOrEqual(200);
    expect(isRunId(child)).toBe(true);
  });
});

describe("the id of a sender's delivery", () => {
  const idOf = (name: string): string => deliveryWorkflowId("t".repeat(32), { kind: "service", name });

  test.each(["ada", "Ada Ødegård", "x".repeat(181), "ß".repeat(5_000)])("fits into Temporal's column, and is nobody else's: %#", (name) => {
    expect(idOf(name)).toMatch(/^[A-Za-z0-9._-]{1,255}$/);
    const names = new Set([name, `${name}y`, `y${name}`, name.toUpperCase(), idOf(name).split(".").at(-1)!]);
    expect(new Set([...names].map(idOf)).size).toBe(names.size);
  });
});
