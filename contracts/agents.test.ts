import fc from "fast-check";
import { describe, expect, test } from "@jest/globals";
import { casesOf } from "../tests/cases.ts";
import { agentSchema } from "./agent.schema.ts";
import { agentStates, stateRefusal, type AgentState, type StateRequest } from "./agents.ts";

// By hand: what the table in the docs draws. `!` needs a restart.
const legal = [
  "active paused",
  "active stopped",
  "active retired",
  "paused active",
  "paused stopped",
  "paused retired",
  "stopped !active",
  "stopped retired",
];

const request = fc.record({ state: fc.constantFrom(...agentStates), restart: fc.boolean() });

/** The states an agent goes through, each with what it took. */
function walk(requests: StateRequest[]): string[] {
  let state: AgentState = "active";
  return requests.flatMap((asked) => {
    const from = state;
    if (stateRefusal(from, asked) !== undefined || asked.state === from) return [];
    state = asked.state;
    return [`${from} ${from === "stopped" && state === "active" && asked.restart ? "!" : ""}${state}`];
  });
}

describe("the states of an agent", () => {
  test("no sequence of requests leaves the legal ways", () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        for (const step of walk(requests)) expect(legal).toContain(step);
      }),
      { numRuns: casesOf(1_000) },
    );
  });

  test("every legal way can be gone, by one request", () => {
    const gone = agentStates.flatMap((from) =>
      agentStates.filter((state) => state !== from && stateRefusal(from, { state, restart: true }) === undefined).map((to) => [from, to]),
    );
    expect(gone.map(([from, to]) => `${from} ${to}`).toSorted()).toEqual(legal.map((way) => way.replace("!", "")).toSorted());
  });

  test("the state it is in already may be asked for", () => {
    for (const state of agentStates) expect(stateRefusal(state, { state })).toBeUndefined();
  });

  test("a refusal says what can be done", () => {
    expect(stateRefusal("stopped", { state: "active" })).toContain("`restart: true`");
    expect(stateRefusal("stopped", { state: "paused" })).toBe("From `stopped` it can only become `active` or `retired`.");
    expect(stateRefusal("retired", { state: "active", restart: true })).toContain("for good");
  });
});

const good = {
  name: "triage.invoices-1",
  version: "1.0.0",
  title: "Invoices",
  description: "Reads invoices.",
  tags: ["finance"],
  role: "accountant",
  capabilities: [{ name: "invoices.read", level: 4 }],
  instructions: "Be exact. ${this} is text.",
  model: "fast",
  fallbacks: ["openai/gpt-5.5"],
  tools: [
    "files.readText",
    { tool: "ledger.post", version: "^1.2", timeout: "2m" },
    { server: "crm", tool: "find" },
    { workflow: "refund", as: "pay_back" },
  ],
  limits: { maxTurns: 20, timeout: "10m", toolCalls: 50, parallelToolCalls: 4 },
  approval: { tools: ["ledger.*", "crm/find", "refund"], assignees: ["role:finance"], expiresAfter: "2h", remindAfter: "30m" },
};

const problems = (change: object): string[] => {
  const { error } = agentSchema.safeParse({ ...good, ...change });
  return (error?.issues ?? []).map(({ path, code }) => `${code} ${path.join(".")}`);
};

describe("an agent", () => {
  test("with all its fields is taken as it stands", () => {
    expect(agentSchema.parse(good)).toEqual(good);
  });

  test("needs a name, a version and instructions only", () => {
    const { name, version, instructions } = good;
    expect(agentSchema.safeParse({ name, version, instructions }).success).toBe(true);
  });

  test.each([
    ["an unknown field", { owner: "me" }, "unrecognized_keys "],
    ["a name with a slash", { name: "a/b" }, "invalid_format name"],
    ["a version that is none", { version: "1.0" }, "invalid_format version"],
    ["no instructions", { instructions: "" }, "too_small instructions"],
    ["instructions without end", { instructions: "x".repeat(65_537) }, "too_big instructions"],
    ["a level above 5", { capabilities: [{ name: "a", level: 6 }] }, "too_big capabilities.0.level"],
    ["an expression as a model", { model: "${input.model}" }, "custom model"],
    ["a tool with a range that is none", { tools: [{ tool: "a", version: ">1" }], approval: undefined }, "invalid_format tools.0.version"],
    ["the same capability twice", { capabilities: ["a", "a"].map((name) => ({ name, level: 1 })) }, "custom capabilities.1.name"],
    ["the same tool twice", { tools: ["a", { tool: "a", version: "1" }], approval: undefined }, "custom tools.1"],
    ["an approval of a tool that it does not have", { approval: { tools: ["ledger.pots"] } }, "custom approval.tools.0"],
    ["no turn", { limits: { maxTurns: 0 } }, "too_small limits.maxTurns"],
  ])("with %s is refused", (_, change, problem) => {
    expect(problems(change)).toEqual([problem]);
  });
});
