import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { z } from "zod";
import { cel, t, workflow } from "./builder.ts";

/** Definitions of `tests/definitions/good`, written once more in TypeScript: the result must be the same JSON. */
const written = {
  background: workflow("watched", { version: "1.0.0", input: z.object({ address: z.string().optional() }) }, ({ input, ...b }) => {
    b.loop(
      "watchdog",
      () => {
        b.wait("pause", "1m");
        return b.http("probe", { url: t`${input.address}` });
      },
      { background: true, needs: [], while: () => true, maxIterations: 1_000 },
    );
    const first = b.tool("first", "work", { at: input.address });
    b.tool("second", "work", { after: first });
    b.listen(
      "requests",
      { any: [{ event: "more" }, { event: "less" }], foreach: { steps: (event) => b.set("note", event.data) } },
      { background: true },
    );
  }),

  locks: workflow("locked", { version: "1.0.0", input: z.object({ account: z.string() }) }, ({ input, ...b }) => {
    b.sequence(
      "book",
      () => {
        const balance = b.tool("read", "balance", { of: input.account }, { effect: "read" });
        b.tool("write", "transfer", { amount: balance.amount }, { lock: { key: "bank", limit: 5 } });
      },
      { lock: { key: t`account.${input.account}` } },
    );
    b.foreach("lines", [1, 2], (item) => {
      b.tool("each", "transfer", undefined, { lock: { key: t`line.${item}` } });
      b.tool("again", "transfer", undefined, { lock: { key: "bank", limit: 5 } });
    });
  }),

  compensation: workflow(
    "saga",
    { version: "1.0.0", input: z.object({ order: z.string(), total: z.number().optional() }) },
    ({ input, ...b }) => {
      const reserve = b.tool(
        "reserve",
        "stock.reserve",
        { order: input.order },
        {
          outputSchema: { type: "object", required: ["reservation"], properties: { reservation: { type: "string" } } },
          compensate: (output) => {
            const release = b.tool("release", "stock.release", { reservation: output.reservation });
            b.emit("told", { event: "released", data: { by: release } });
          },
        },
      );
      b.attempt(
        "pay",
        () => {
          const body = { total: input.total, reservation: reserve.reservation };
          b.http(
            "charge",
            { method: "POST", url: "https://pay.example.com/charges", body },
            {
              compensate: (output) => b.http("refund", { method: "DELETE", url: t`https://pay.example.com/charges/${output.body.id}` }),
            },
          );
          b.tool("receipt", "mail.send");
        },
        {
          undo: true,
          catch: {
            errors: ["http"],
            steps: (error) =>
              b.tool("transfer", "bank.transfer", undefined, {
                compensate: (output) => b.tool("back", "bank.back", { error: error.type, result: output }),
              }),
          },
        },
      );
      b.http(
        "look",
        { url: "https://pay.example.com/open" },
        { effect: "write", compensate: () => b.sequence("close", () => b.tool("closed", "close")) },
      );
    },
  ),

  times: workflow("patient", { version: "1.0.0" }, ({ run, ...b }) => {
    b.sequence("all", () => b.tool("one", "t"), {
      retry: { maxAttempts: 4, initialInterval: "2s", while: (output) => cel`${output}.ok != true` },
      timeout: "1m",
      totalTimeout: "10m",
    });
    b.when("choice", true, () => b.tool("two", "t"), undefined, { timeout: "5s" });
    b.parallel("both", { left: () => b.tool("three", "t") }, { retry: { maxAttempts: 2 } });
    b.call("child", "other", undefined, { retry: { maxAttempts: 3, nonRetryable: ["policy"] }, timeout: "PT1H", totalTimeout: "1d" });
    const event = b.listen("event", { one: { event: "x" }, timeout: "1h" }, { retry: { maxAttempts: 2 }, totalTimeout: "3h" });
    b.wait("until", { until: event.data["at"] }, { timeout: "30d" });
    b.approval(
      "ask",
      { title: "Well?", expiresAfter: "1h" },
      { retry: { maxAttempts: 3, while: (output) => cel`${output.decision} == 'expired'` } },
    );
    b.emit("tell", { event: "y", to: run.id }, { timeout: "10s", retry: { maxAttempts: 5 } });
    b.attempt("guarded", () => b.tool("four", "t"), { retry: { maxAttempts: 2 }, catch: () => b.set("five", 1) });
  }),

  joins: workflow("joins", { version: "1.0.0", input: z.object({ sources: z.array(z.string()).optional() }) }, ({ input, ...b }) => {
    const price = { outputSchema: { type: "object", required: ["price"], properties: { price: { type: "number" } } } };
    const offers = b.parallel(
      "offers",
      { a: () => b.tool("askA", "ask", undefined, price), b: () => b.tool("askB", "ask", undefined, price) },
      { until: (done) => cel`${done}.exists(offer, offer.price < 10)`, rest: "finish" },
    );
    const found = b.foreach("found", cel<string[]>`${input.sources}`, (item) => b.http("look", { url: t`${item}` }), {
      join: "quorum",
      quorum: 3,
      until: (done) => cel`size(${done}) > 1 && ${done[0]} == ${done[1]}`,
      rest: "cancel",
      onItemError: "skip",
    });
    b.foreach("first", [1, 2], () => b.tool("x", "t"), { join: "any", rest: "finish" });
    return { cheap: offers.a.price, found };
  }),

  isolate: workflow("isolated", { version: "1.0.0" }, ({ run, ...b }) => {
    const id = { type: "object", required: ["id"], properties: { id: { type: "string" } } };
    const list = b.tool("list", "list", undefined, { outputSchema: { type: "array", items: id } });
    const each = b.foreach(
      "each",
      cel<{ id: string }[]>`${list}`,
      (item) => b.tool("work", "work", { id: item.id, of: cel`size(${list})`, in: run.id }),
      { isolate: true, concurrency: 50, onItemError: "collect", key: (item) => item.id },
    );
    return each;
  }),

  streams: workflow("readings", { version: "1.0.0" }, (b) => {
    b.listen("readings", {
      one: { event: "reading", schema: { type: "object", required: ["value"], properties: { value: { type: "number" } } } },
      foreach: {
        as: "reading",
        concurrency: 4,
        steps: (reading) => {
          b.tool("store", "store", { value: reading.data["value"] });
          const sum = b.set("sum", cel<number>`${reading.data["value"]} * 2`);
          return { double: sum };
        },
      },
      until: ({ event, last }) => cel`${event.data["value"]} > 100 || ${last.double} > 150`,
      timeout: "2h",
      onTimeout: () => b.emit("late", { event: "reading.late" }),
    });
    b.emit("told", { event: "reading.done", data: { n: 1 } });
    b.listen("orders", {
      any: [{ event: "order.new" }, { event: "order.changed", when: (event) => cel`${event.data["open"]}` }],
      early: "ignore",
      timeout: "1d",
      foreach: { steps: (event) => b.set("seen", event.id) },
    });
  }),

  "company-approval": workflow(
    "company-approval",
    { version: "1.0.0", input: z.object({ amount: z.number().optional(), needed: z.number().optional() }) },
    ({ input, ...b }) => {
      const board = b.approval("board", {
        title: t`Buy for ${input.amount}?`,
        payload: { amount: input.amount, note: "" },
        assignees: ["ada", "grace", "role:finance"],
        quorum: 2,
        editable: true,
        remindAfter: "4h",
        escalate: { after: "1d", to: ["role:board"] },
        expiresAfter: "3d",
        onExpire: () => b.tool("late", "mail.send"),
      });
      const details = b.approval("details", {
        title: "Where to?",
        quorum: cel<number>`${input.needed}`,
        form: {
          type: "object",
          required: ["address"],
          properties: { address: { type: "string" }, express: { type: "boolean" } },
        },
        remindAfter: cel`${input.amount} > 1000 ? '1h' : '8h'`,
      });
      return { amount: board.data.amount, address: details.data["address"] };
    },
  ),

  starts: workflow(
    "report",
    {
      version: "1.0.0",
      input: z.object({ region: z.string(), since: z.string().optional() }),
      concurrency: { key: (input) => t`report.${input.region}`, limit: 2, onLimit: "cancelOldest" },
      triggers: [
        {
          schedule: {
            cron: "30 6 * * mon-fri",
            timezone: "Europe/Berlin",
            startAt: "2026-01-01T00:00:00Z",
            endAt: "2027-01-01T00:00:00Z",
            overlap: "bufferOne",
            catchUp: "2h",
            input: { region: "eu", since: "costs ${x}" },
          },
        },
        { schedule: { every: "15m", input: { region: "us" } } },
        { schedule: { cron: "@daily", input: { region: "asia" } } },
        {
          webhook: {
            path: "report-now",
            secret: "REPORT_SECRET",
            input: (request) => ({ region: cel<string>`${request.query["region"]}`, since: request.body["since"] }),
          },
        },
        { webhook: {} },
        {
          event: {
            event: "region.closed",
            when: (event) => cel`${event.data["open"]} == false`,
            input: (event) => ({ region: event.data["region"] }),
          },
        },
        { event: { event: "region.opened" } },
      ],
    },
    ({ input, run, tool }) => tool("build", "report", { region: input.region, at: run.startedAt }),
  ),

  effects: workflow(
    "effects",
    { version: "1.0.0", concurrency: { limit: 1, onLimit: "reject" }, input: z.object({ customer: z.string() }) },
    ({ input, ...b }) => {
      b.http("look", { url: "https://example.com" }, { fairnessKey: input.customer, priority: 4 });
      b.tool("wipe", "disk.wipe", undefined, { effect: "dangerous", fairnessKey: "maintenance" });
      b.llm("think", { prompt: "x" }, { effect: "read", fairnessKey: input.customer });
      b.activity("resize", "resize", undefined, { effect: "write", heartbeat: "10s", totalTimeout: "1h", timeout: "20m" });
    },
  ),

  budgets: workflow(
    "budgets",
    { version: "1.0.0", budget: { tokens: 200_000, usd: 1.5, modelCalls: 100, toolCalls: 50, onExceed: "pause" } },
    ({ llm, parallel, call, sequence }) => {
      const cheap = { usd: 0.1, onExceed: "downgradeModel" } as const;
      parallel(
        "read",
        {
          one: () => llm("say", { prompt: "Hi" }, { budget: { tokens: 5_000, onExceed: "fail" } }),
          two: () => llm("say", { model: "smart", fallbacks: ["cheap"], prompt: "Hi" }, { budget: cheap }),
        },
        { budget: { usd: 0.5 } },
      );
      call("call", "other", undefined, { budget: { modelCalls: 0 } });
      const asks = { onExceed: "ask", wallTime: "2h", assignees: ["role:finance"] } as const;
      sequence("slow", () => llm("say", { prompt: "Hi" }, { budget: { wallTime: 60_000, usd: 1, onExceed: "ask" } }), { budget: asks });
    },
  ),
};

test.each(Object.entries(written))("%s is the same in TypeScript and in YAML", (file, { definition }) => {
  const text = readFileSync(new URL(`../tests/definitions/good/${file}.yaml`, import.meta.url), "utf8");
  expect(definition).toEqual(parse(text));
});
