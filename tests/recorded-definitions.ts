import type { JsonObject } from "../contracts/json.ts";
import type { Client, Run } from "./stack/client.ts";

/** One run per step type, and one per thing that can happen to a run: what `record-histories.ts` keeps as histories. */
export interface Recording {
  steps: JsonObject[];
  input?: JsonObject;
  more?: JsonObject;
  /** What is done to the run while it goes on. */
  during?: (run: Run, client: Client) => Promise<unknown>;
  /** Its first call is answered when all of that was done: what it costs must not depend on which is quicker. */
  isCallHeld?: true;
  /** Below the run: whose history is wanted. */
  child?: string;
  /** It goes on in another execution: the history of the first is wanted. */
  isOfFirst?: boolean;
}

const set = (id: string, values: unknown = 1) => ({ id, type: "set", values }) as JsonObject;
const http = (id: string, more: JsonObject = {}): JsonObject => ({ id, type: "http", url: "${input.url}", ...more });
const raise: JsonObject = { id: "r", type: "raise", error: { type: "odd", status: 418, detail: "no" } };
const listen: JsonObject = { id: "l", type: "listen", one: { event: "go" } };
const short = (id: string): JsonObject => ({ id, type: "tool", tool: "test.short", arguments: {}, short: true });
/** Below so many scopes. */
export const inScopes = (depth: number, ...steps: JsonObject[]): JsonObject[] =>
  depth === 0 ? steps : [{ id: `s${depth}`, type: "sequence", steps: inScopes(depth - 1, ...steps) }];
const list: JsonObject = { id: "list", type: "tool", tool: "test.list", arguments: { count: 40, bytes: 500 } };

interface Place {
  child: string;
  foreignQueue: string;
  /** A published agent that answers by itself. */
  agent: string;
}

export const recordings = (place: Place): Record<string, Recording> => ({ ...calls(place), ...scopes, ...waits, ...steered });

const calls = (place: Place): Record<string, Recording> => ({
  llm: { steps: [{ id: "say", type: "llm", prompt: "Hi ${input.url}" }] },
  agent: {
    steps: [
      { id: "split", type: "agent", model: "local/extractive", prompt: "Split this text into lines: one, two", tools: ["text.lines"] },
    ],
  },
  message: { steps: [{ id: "m", type: "message", to: place.agent, messageType: "question", payload: "One. Two.", replyTimeout: "1m" }] },
  guardrail: {
    steps: [
      {
        id: "say",
        type: "llm",
        model: "local/extractive",
        prompt: "One. Two.",
        guardrails: [{ name: "two", type: "pattern", pattern: "Two", on: ["input"], outcome: "human" }],
      },
    ],
    during: async (run, client) => client.decide(await run.approval("say[0].approve"), { decision: "approve" }),
  },
  "budget-ask": {
    steps: [{ id: "t", type: "tool", tool: "test.double", arguments: { n: 2 }, budget: { toolCalls: 0, onExceed: "ask" } }],
    during: async (run, client) => client.decide(await run.approval("t.budget"), { decision: "approve" }),
  },
  tool: { steps: [{ id: "t", type: "tool", tool: "test.double", arguments: { n: 2 } }] },
  short: { steps: [short("a"), http("b"), short("c")] },
  // Of the three that are made with the first, the second fails at first.
  "short-row": {
    steps: [
      short("a"),
      { ...short("b"), arguments: { said: "${steps.a.output.word}" } },
      { ...short("c"), arguments: { failures: 1 }, retry: { maxAttempts: 2, initialInterval: "1ms" } },
      short("d"),
      http("e"),
      { id: "f", type: "foreach", items: "${range(3)}", concurrency: 3, steps: [short("s"), short("t")] },
    ],
  },
  http: { steps: [http("a"), http("b", { method: "POST", body: { of: "${steps.a.output.status}" } })] },
  activity: { steps: [{ id: "sum", type: "activity", activity: "add", taskQueue: place.foreignQueue, arguments: [1, 2] }] },
  set: { steps: [{ ...set("a", "${1 + 1}"), export: { n: "${output}" } }, set("b", "${vars.n}")], more: { vars: { n: 0 } } },
  workflow: { steps: [{ id: "c", type: "workflow", workflow: place.child, input: { n: 1 } }] },
  "workflow-child": { steps: [{ id: "c", type: "workflow", workflow: place.child, input: { n: 1 } }], child: "c" },
  raise: { steps: [raise] },
  end: { steps: [{ id: "stop", type: "end", output: 1 }] },
  "large-values": { steps: [list, set("n", "${size(steps.list.output)}"), { ...set("m"), if: "${steps.list.output[3].n == 3}" }] },
});

const scopes: Record<string, Recording> = {
  sequence: { steps: [{ id: "s", type: "sequence", steps: [set("a"), http("b")] }] },
  switch: { steps: [{ id: "s", type: "switch", cases: [{ when: "${false}", steps: [set("a")] }], default: [http("b")] }] },
  parallel: { steps: [{ id: "p", type: "parallel", branches: { a: [http("x")], b: [http("y")], c: [set("z")] } }] },
  "parallel-any": { steps: [{ id: "p", type: "parallel", join: "any", branches: { a: [listen], b: [http("y")] } }] },
  foreach: { steps: [{ id: "f", type: "foreach", items: "${range(5)}", concurrency: 2, steps: [http("c")] }] },
  // The branch whose first answer comes first has the most scopes, and so promises, to its next call.
  "parallel-short": {
    steps: [
      {
        id: "p",
        type: "parallel",
        branches: Object.fromEntries(
          Array.from({ length: 5 }, (_, n) => [
            `n${n}`,
            [
              { ...short("a"), arguments: { ms: 30 * n } },
              ...inScopes(5 - n, http("b")),
              { ...short("c"), arguments: { ms: 30 * (4 - n) } },
            ],
          ]),
        ),
      },
    ],
  },
  "foreach-short": {
    steps: [
      {
        id: "f",
        type: "foreach",
        items: "${range(12)}",
        concurrency: 12,
        steps: [{ ...short("s"), arguments: { ms: "${(index * 7) % 12 * 3}" } }],
      },
    ],
  },
  "foreach-collect": { steps: [{ id: "f", type: "foreach", items: [1, 2], onItemError: "collect", steps: [raise] }] },
  loop: { steps: [{ id: "l", type: "loop", maxIterations: 5, until: "${steps.c.output.body.n >= 3}", steps: [http("c")] }] },
  try: { steps: [{ id: "t", type: "try", steps: [raise], catch: [{ errors: ["odd"], steps: [http("a")] }], finally: [set("f")] }] },
  continue: {
    steps: [{ id: "t", type: "tool", tool: "test.breaks", arguments: {}, onError: "continue", retry: { maxAttempts: 1 } }, http("a")],
  },
};

const waits: Record<string, Recording> = {
  wait: { steps: [{ id: "w", type: "wait", duration: "20ms" }] },
  listen: { steps: [listen], during: (run) => run.signal("go", { n: 1 }) },
  "listen-timeout": { steps: [{ ...listen, timeout: "20ms", onTimeout: [set("late")] }] },
  stream: {
    steps: [{ ...listen, foreach: { steps: [http("a"), set("n", "${event.data}")] }, until: "${last == 2}" }],
    during: async (run) => {
      for (const n of [1, 2]) await run.signal("go", n);
    },
    isCallHeld: true,
  },
  emit: { steps: [{ id: "e", type: "emit", event: "go", to: "${run.id}", data: 1 }, listen] },
  "emit-elsewhere": { steps: [{ id: "e", type: "emit", event: "go", to: "r_00000000000000000000000000", onError: "continue" }] },
  "emit-to-all": {
    steps: [
      {
        id: "p",
        type: "parallel",
        branches: {
          a: [
            { id: "now", type: "listen", one: { event: "now" } },
            { id: "e", type: "emit", event: "go", data: 1 },
          ],
          b: [listen],
        },
      },
    ],
    during: async (run) => {
      await run.until("listen.started", "p.b.l");
      await run.signal("now");
    },
  },
  approval: {
    steps: [{ id: "ask", type: "approval", title: "Pay?" }],
    during: async (run, client) => client.decide(await run.approval("ask"), { decision: "approve" }),
  },
  "approval-quorum": {
    steps: [{ id: "ask", type: "approval", title: "Pay?", quorum: 2 }],
    during: async (run, client) => {
      const id = await run.approval("ask");
      for (const principal of ["ada", "eve"])
        await (await client.withKey({ principal, kind: "person", roles: [] })).decide(id, { decision: "approve" });
    },
  },
  "approval-expired": { steps: [{ id: "ask", type: "approval", title: "Pay?", expiresAfter: "20ms", onExpire: [set("late")] }] },
};

const steered: Record<string, Recording> = {
  park: {
    steps: [{ id: "t", type: "tool", tool: "test.breaks", arguments: {}, onError: "park", retry: { maxAttempts: 1 } }],
    during: async (run) => {
      await run.until("step.parked");
      await run.attend("t", "skip");
    },
  },
  pause: {
    steps: [listen, http("a")],
    during: async (run) => {
      await run.until("listen.started");
      await run.pause();
      await run.signal("go");
      await run.resume();
    },
  },
  "plan-change": {
    steps: [listen, http("a")],
    during: async (run, client) => {
      await run.until("listen.started");
      const body = { operations: [{ op: "add", into: "", step: set("added") }] };
      await client.request("PATCH", `${run.path}/plan`, { body });
      await run.until("plan.changed");
      await run.signal("go");
    },
    isOfFirst: true,
  },
  cancel: {
    steps: [{ id: "t", type: "try", steps: [listen], finally: [http("a")] }],
    during: async (run) => {
      await run.until("listen.started");
      await run.cancel();
    },
  },
};
