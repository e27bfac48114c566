import { expect, test } from "@jest/globals";
import { z } from "zod";
import type { JsonObject } from "../contracts/json.ts";
import { readDefinitionValue } from "./index.ts";
import { cel, errorOf, statusOf, t, usageOf, workflow, type Builder, type Ref } from "./builder.ts";

/** The definition of a callback, with version 1.0.0; also proves that the checker accepts it. */
function built(build: (b: Builder) => unknown): JsonObject {
  const { definition } = workflow("demo", { version: "1.0.0" }, build);
  expect(readDefinitionValue(definition, { hashOf: () => "hash" })).toMatchObject({ ok: true });
  return definition;
}
const steps = (build: (b: Builder) => unknown): unknown => built(build)["steps"];

const Verdict = z.object({ risk: z.number(), items: z.array(z.object({ sku: z.string() })) });
const extractText = {
  name: "files.extractText",
  input: z.object({ fileId: z.string() }),
  output: z.object({ text: z.string(), pages: z.number() }),
};

const triage = workflow(
  "invoice-triage",
  {
    version: "1.0.0",
    input: z.object({ fileId: z.string(), limit: z.number() }),
    output: z.object({ approved: z.boolean(), notes: z.array(z.string()) }),
  },
  ({ input, tool, llm, approval, when, foreach, set }) => {
    const doc = tool("extract", extractText, { fileId: input.fileId });
    const verdict = llm("classify", { model: "fast", prompt: t`Assess the risk of: ${doc.text}`, output: Verdict });
    const decision = when(
      "gate",
      cel`${verdict.risk} > 0.7 || ${doc.pages} > ${input.limit}`,
      () => approval("ask", { title: t`Risk ${verdict.risk}. Pay?`, assignees: ["role:finance"], expiresAfter: "2d" }),
      () => set("auto", { approved: true }),
    );
    const notes = foreach("annotate", verdict.items, (item) => llm("note", { model: "cheap", prompt: t`Comment on ${item.sku}` }), {
      concurrency: 4,
    });
    return { approved: decision.approved, notes };
  },
);

const gate = {
  id: "gate",
  type: "switch",
  cases: [
    {
      when: "${steps.classify.output.risk > 0.7 || steps.extract.output.pages > input.limit}",
      steps: [
        { id: "ask", type: "approval", title: "Risk ${steps.classify.output.risk}. Pay?", assignees: ["role:finance"], expiresAfter: "2d" },
      ],
    },
  ],
  default: [{ id: "auto", type: "set", values: { approved: true } }],
};

const annotate = {
  id: "annotate",
  type: "foreach",
  items: "${steps.classify.output.items}",
  concurrency: 4,
  steps: [{ id: "note", type: "llm", model: "cheap", prompt: "Comment on ${item.sku}" }],
};

test("the builder gives what a YAML author would have written", () => {
  const { steps, output, ...head } = triage.definition;
  expect(head).toMatchObject({ name: "invoice-triage", version: "1.0.0", input: { type: "object", required: ["fileId", "limit"] } });
  expect(head["outputSchema"]).toMatchObject({ properties: { notes: { type: "array", items: { type: "string" } } } });
  expect(steps).toEqual([
    { id: "extract", type: "tool", tool: "files.extractText", arguments: { fileId: "${input.fileId}" } },
    {
      id: "classify",
      type: "llm",
      model: "fast",
      prompt: "Assess the risk of: ${steps.extract.output.text}",
      outputSchema: expect.objectContaining({ type: "object" }),
    },
    gate,
    annotate,
  ]);
  expect(output).toEqual({ approved: "${steps.gate.output.approved}", notes: "${steps.annotate.output}" });
});

test("a definition is frozen plain JSON that the checker accepts", () => {
  expect(readDefinitionValue(triage.toJSON(), { hashOf: () => "hash" })).toMatchObject({ ok: true });
  expect(JSON.parse(JSON.stringify(triage))).toEqual(triage.definition);
  expect(Object.isFrozen(triage.definition["steps"])).toBe(true);
});

const uses: Record<string, (ref: Ref<never>) => unknown> = {
  "in a template string": (ref) => `${ref as unknown as string}`,
  "in a sum": (ref) => (ref as unknown as number) + 1,
  "in a comparison": (ref) => (ref as unknown as number) > 1,
  "as JSON": (ref) => JSON.stringify({ ref }),
  "as a list": (ref) => [...(ref as unknown as string[])],
  "as an object": (ref) => ({ ...ref }),
  "with `in`": (ref) => "a" in ref,
  "as a function": (ref) => (ref as unknown as { map: () => void }).map(),
  "with toString": (ref) => (ref as unknown as Date).toString(),
  "as the target of an assignment": (ref) => Object.assign(ref, { a: 1 }),
  "as a promise": (ref) => (ref as unknown as { then: unknown }).then,
};

test.each(Object.entries(uses))("a reference used %s throws at once and says what to do", (_, use) => {
  built(({ set }) => {
    const ref = set("first", { a: 1 });
    expect(() => use(ref.a as unknown as Ref<never>)).toThrow(/`steps\.first\.output\.a.*cel`…`.*t`…`/s);
  });
});

test("paths are written so that CEL reads them back", () => {
  const [, step] = steps(({ tool, set }) => {
    const it = tool("it", "x");
    set("read", [it[0], it["a-b"], it["in"], it["name"], cel`${it["a"]} + ${it["b"]}`, cel<{ c: number }>`[${it}][0]`.c]);
  }) as { values: unknown }[];
  expect(step!.values).toEqual([
    "${steps.it.output[0]}",
    '${steps.it.output["a-b"]}',
    '${steps.it.output["in"]}',
    "${steps.it.output.name}",
    "${steps.it.output.a + steps.it.output.b}",
    "${([steps.it.output][0]).c}",
  ]);
});

test("an expression inside an expression keeps its own order, and JSON values become literals", () => {
  const [step] = steps(({ set, input }) => {
    const sum = cel<number>`${input["a"]} + 1`;
    set("x", {
      product: cel`${sum} * 2`,
      member: cel`${input["kind"]} in ${["a", 'b"']}`,
      map: cel`${{ "a-b": null }}`,
      escaped: cel`${input["s"]} == "\n"`,
    });
  }) as { values: unknown }[];
  expect(step!.values).toEqual({
    product: "${(input.a + 1) * 2}",
    member: '${input.kind in ["a", "b\\""]}',
    map: '${{"a-b": null}}',
    escaped: '${input.s == "\\n"}',
  });
});

test("`${` in a plain text stays text", () => {
  const [step] = steps(({ set, input }) => set("x", ["costs ${5}", t`\${5} for ${input["name"]} of ${"${x}"}`])) as { values: unknown }[];
  expect(step!.values).toEqual(["costs $${5}", "$${5} for ${input.name} of $${x}"]);
});

test("an escaped text is read back as it was written", () => {
  const texts = ["${", "$${", "$$${x}", "a $ b", "$", "{${}}"];
  const read = readDefinitionValue(
    built(({ set }) => set("x", texts)),
    { hashOf: () => "hash" },
  );
  expect(read).toMatchObject({ ok: true, plan: { body: { steps: [{ values: { lit: texts } }] } } });
});

test("status, error and usage of a step are read by functions", () => {
  const [, step] = steps(({ llm, set }) => {
    const it = llm("it", { prompt: "hi" });
    set("x", [statusOf(it), errorOf(it).type, usageOf(it).costUsd]);
  }) as { values: unknown }[];
  expect(step!.values).toEqual(["${steps.it.status}", "${steps.it.error.type}", "${steps.it.usage.costUsd}"]);
});

test("options that speak about the step's own output are given it", () => {
  const [first, second] = steps(({ tool, set, vars, input }) => {
    const a = tool(
      "a",
      "x",
      { q: 1 },
      {
        if: cel<boolean>`${input["on"]}`,
        output: z.object({ done: z.boolean() }),
        retry: { maxAttempts: 3, while: (output) => cel<boolean>`!${output.done}` },
        export: { last: (output) => output.done, note: "seen ${once}" },
        timeout: "5s",
        onError: "park",
        description: "For people: ${",
      },
    );
    set("b", vars, { needs: [a] });
  }) as JsonObject[];
  expect(first).toMatchObject({
    if: "${input.on}",
    outputSchema: { type: "object" },
    retry: { maxAttempts: 3, while: "${!output.done}" },
    export: { last: "${output.done}", note: "seen $${once}" },
    timeout: "5s",
    onError: "park",
    description: "For people: ${",
  });
  expect(second).toMatchObject({ needs: ["a"], values: "${vars}" });
});

test("what a callback returns is its scope's output, unless that is the last step's anyway", () => {
  const [one, two, three] = steps(({ sequence, set }) => {
    sequence("one", () => set("a", 1));
    sequence("two", () => void set("a", 1));
    sequence("three", () => {
      const a = set("a", { n: 1 });
      set("b", 2);
      return { n: a.n };
    });
  }) as JsonObject[];
  expect(one).not.toHaveProperty("output");
  expect(two).not.toHaveProperty("output");
  expect(three).toMatchObject({ output: { n: "${steps.a.output.n}" } });
});

test("names of nested loops do not hide each other", () => {
  const [outer] = steps(({ foreach, set }) =>
    foreach("rows", [[1], [2]], (row, y) => foreach("cells", cel<number[]>`${row}`, (cell, x) => set("at", [cell, x, row, y]))),
  ) as { steps: JsonObject[] }[];
  expect(outer).toMatchObject({
    steps: [{ as: "item2", index: "index2", items: "${item}", steps: [{ values: ["${item2}", "${index2}", "${item}", "${index}"] }] }],
  });
});

test("a loop's conditions see the last and the present iteration", () => {
  const [loop] = steps(({ loop, llm }) =>
    loop(
      "refine",
      ({ last, index }) => llm("draft", { prompt: t`Better than ${last}, round ${index}`, output: z.object({ score: z.number() }) }),
      {
        maxIterations: 5,
        while: ({ index }) => cel<boolean>`${index} < 4`,
        until: (draft) => cel<boolean>`${draft.score} > 0.8`,
      },
    ),
  ) as JsonObject[];
  expect(loop).toMatchObject({ maxIterations: 5, while: "${index < 4}", until: "${steps.draft.output.score > 0.8}" });
  expect(loop!["steps"]).toMatchObject([{ prompt: "Better than ${last}, round ${index}" }]);
});

test("a reference is refused where it cannot be seen", () => {
  const leaks = ({ parallel, set }: Builder): void => {
    let inside: Ref<number> | undefined;
    parallel("both", { a: () => (inside = set("x", 1)), b: () => set("y", inside) });
  };
  expect(() => built(leaks)).toThrow("`steps.x.output` cannot be seen here");
  const shadowed = ({ loop, set }: Builder): unknown =>
    loop("a", ({ last }) => loop("b", () => set("x", last), { maxIterations: 2 }), { maxIterations: 2 });
  expect(() => built(shadowed)).toThrow("`last` cannot be seen here");
  let foreign: Ref<never> | undefined;
  built((b) => (foreign = b.tool("x", "x")));
  expect(() => built((b) => b.set("y", foreign))).toThrow("cannot be seen here");
});

test("the builder refuses async callbacks, empty scopes, double ids, values that are not JSON, and steps made too late", () => {
  let late: Builder | undefined;
  expect(() => built(async ({ set }) => set("a", 1))).toThrow("cannot be async");
  expect(() => built(({ sequence }) => sequence("a", () => 1))).toThrow("made no step");
  expect(() => built(({ set }) => [set("a", 1), set("a", 2)])).toThrow("called `a`");
  expect(() => built(({ set }) => set("a", { at: new Date(0) }))).toThrow("Date cannot stand in it");
  expect(() => built(({ set }) => set("a", () => 1))).toThrow("function cannot stand in it");
  expect(() =>
    built(({ when, set }) =>
      when(
        "a",
        true,
        () => set("b", 1),
        () => ({ x: set("c", 1) }),
      ),
    ),
  ).toThrow("the default case");
  built((b) => (late = b).set("a", 1));
  expect(() => late!.set("b", 1)).toThrow("inside the callback");
});

test("every step type of the language has its function", () => {
  const definition = built((b) => {
    const http = b.http("http", { url: t`https://example.test/${b.run.id}`, headers: { accept: "text/plain" } }, { output: z.string() });
    b.activity("activity", "resize", [http.body, 2], { taskQueue: "images", catch: () => b.set("handled", null) });
    b.call("child", triage, { fileId: "f", limit: 3 }, { await: false });
    b.call("other", "by-name", { a: http.status }, { version: "2.0.0" });
    b.wait("short", "5s");
    b.wait("long", { until: "2030-01-01T00:00:00Z" });
    b.listen("listen", {
      one: { event: "paid", schema: z.object({ sum: z.number() }), when: (event) => cel<boolean>`${event.data["sum"]} > 0` },
      timeout: "1h",
      onTimeout: () => b.set("late", null),
    });
    b.emit("emit", { event: "done", to: b.run.id });
    b.switchOn("route", [
      { name: "fast", when: true, steps: () => b.set("x", 1) },
      { when: false, steps: () => b.set("y", "z") },
    ]);
    b.parallel("race", { a: () => b.set("x", 1), b: () => b.set("y", 2) }, { join: "any", maxConcurrency: 1 });
    const attempt = { catch: [{ errors: ["http"], steps: () => b.raise("again") }], finally: () => b.set("clean", null) };
    b.attempt("attempt", () => b.raise("raise", { type: "broken", detail: "…" }), attempt);
    return b.end("end", { output: http.body, status: "completed" });
  });
  expect((definition["steps"] as JsonObject[]).map((step) => step["type"])).toEqual(
    "http activity workflow workflow wait wait listen emit switch parallel try end".split(" "),
  );
  expect(definition).not.toHaveProperty("output");
});

test("a workflow's own handlers are built after its steps", () => {
  const { definition } = workflow(
    "guarded",
    {
      version: "1.0.0",
      input: z.object({ to: z.string() }),
      vars: { tries: 0 },
      catch: [
        { errors: ["timeout"], steps: (error, b) => b.tool("tell", "mail.send", { to: b.input.to, text: t`Failed: ${error.detail}` }) },
      ],
      finally: (b) => b.set("clean", b.vars.tries),
    },
    (b) => b.wait("pause", "1s"),
  );
  expect(definition).toMatchObject({
    vars: { tries: 0 },
    catch: [{ errors: ["timeout"], steps: [{ arguments: { to: "${input.to}", text: "Failed: ${error.detail}" } }] }],
    finally: [{ id: "clean", type: "set", values: "${vars.tries}" }],
  });
});
