import { z } from "zod";
import { cel, t, workflow, type Ref } from "../language/builder.ts";

// Checked by `tsc`, never run: each line below a @ts-expect-error must not compile.

const Invoice = z.object({ id: z.string(), total: z.number(), note: z.string().optional(), lines: z.array(z.object({ sku: z.string() })) });
const lookUp = { name: "invoices.lookUp", input: z.object({ id: z.string() }), output: Invoice };

const typed = workflow(
  "typed",
  { version: "1.0.0", input: z.object({ id: z.string(), max: z.number() }), output: z.object({ total: z.number() }) },
  (b) => {
    const invoice = b.tool("look", lookUp, { id: b.input.id });
    const total: Ref<number> = invoice.total;
    // @ts-expect-error a field the tool does not give
    void invoice.totl;
    // @ts-expect-error a field the input does not have
    void b.input.name;
    // @ts-expect-error a field of a number
    void invoice.total.cents;
    // @ts-expect-error a number where the tool wants a text
    b.tool("wrong", lookUp, { id: b.input.max });
    // @ts-expect-error a wanted argument is missing
    b.tool("missing", lookUp, {});
    // @ts-expect-error an argument the tool does not know
    b.tool("unknown", lookUp, { id: "1", colour: "red" });
    // @ts-expect-error a value that may be absent, where one is wanted
    b.tool("absent", lookUp, { id: invoice.note });
    // @ts-expect-error a condition is a boolean
    b.when("number", invoice.total, () => b.set("x", 1));
    // @ts-expect-error an option that does not exist
    b.tool("option", lookUp, { id: "1" }, { retries: 3 });

    const notes = b.foreach("lines", invoice.lines, (line, index) => {
      // @ts-expect-error a field an item does not have
      void line.price;
      return b.set("note", { text: t`${index}: ${line.sku}`, count: index });
    });
    const note: Ref<{ text: string; count: number }[]> = notes;
    // @ts-expect-error losers of a race are null
    const raced: Ref<{ a: number }> = b.parallel("race", { a: () => b.set("y", 1) }, { join: "any" });
    // @ts-expect-error a loop needs a limit
    b.loop("endless", () => b.set("z", 1), {});
    const either = b.when(
      "either",
      true,
      () => b.set("p", { ok: true, a: 1 }),
      () => b.set("q", { ok: false }),
    );
    const ok: Ref<boolean> = either.ok;
    // @ts-expect-error only one of the cases gives it
    void either.a;
    // @ts-expect-error null when the condition is false
    const maybe: Ref<number> = b.when("maybe", true, () => b.set("r", 1));

    // What has no known type fits everywhere.
    b.tool("untyped", lookUp, { id: b.tool("plain", "by.name").some.field });
    b.tool("computed", lookUp, { id: cel`${invoice.id} + "x"` });
    void [total, note, raced, ok, maybe];
    return { total: invoice.total };
  },
);

workflow("lasting", { version: "1.0.0", input: z.object({ id: z.string(), big: z.boolean() }) }, (b) => {
  b.tool(
    "undone",
    lookUp,
    { id: b.input.id },
    {
      compensate: (output) => b.tool("undo", lookUp, { id: output.id }),
      lock: { key: b.input.id },
      effect: "write",
    },
  );
  // @ts-expect-error a field the step's output does not have
  b.tool("wrongUndo", lookUp, { id: "1" }, { compensate: (output) => b.set("x", output.ids) });
  // @ts-expect-error an effect that does not exist
  b.tool("wrongEffect", lookUp, { id: "1" }, { effect: "reads" });
  // @ts-expect-error a truth value is no key
  b.tool("wrongKey", lookUp, { id: "1" }, { lock: { key: b.input.big } });
  // @ts-expect-error `set` takes no time
  b.set("timed", 1, { timeout: "1s" });
  // @ts-expect-error `priority` belongs to calls
  b.sequence("first", () => b.set("y", 1), { priority: 1 });
  b.sequence("again", () => b.set("z", { ok: true }), { retry: { while: (output) => output.ok } });

  const joined = b.foreach("joined", [1], (item) => b.set("each", { item }), { until: (done) => cel`${done[0]!.item} > 1` });
  // @ts-expect-error items that `until` left behind are null
  const all: Ref<{ item: number }[]> = joined;
  // @ts-expect-error a field the outputs do not have
  b.foreach("wrongDone", [1], (item) => b.set("one", { item }), { until: (done) => cel`${done[0]!.items}` });

  const filled = b.approval("filled", { title: "x", form: z.object({ name: z.string() }) });
  const name: Ref<string | null> = filled.data.name;
  // @ts-expect-error a field the form does not have
  void filled.data.names;
  const edited = b.approval("edited", { title: "x", payload: { amount: 1 }, editable: true });
  const amount: Ref<number | null> = edited.data.amount;
  void [all, name, amount];
});

const input = z.object({ id: z.string() });
// @ts-expect-error a schedule's input is the workflow's
workflow("scheduled", { version: "1.0.0", input, triggers: [{ schedule: { input: { id: 1 } } }] }, ({ set }) => set("x", 1));
// @ts-expect-error a webhook's too
workflow("hooked", { version: "1.0.0", input, triggers: [{ webhook: { input: () => ({ ids: "1" }) } }] }, ({ set }) => set("x", 1));
workflow("keyed", { version: "1.0.0", input, concurrency: { key: ({ id }) => id } }, ({ set }) => set("x", 1));
// @ts-expect-error a field the input does not have
workflow("wrongKey", { version: "1.0.0", input, concurrency: { key: ({ name }) => name } }, ({ set }) => set("x", 1));

// @ts-expect-error the callback returns something else than `output` says
workflow("output", { version: "1.0.0", output: z.object({ total: z.number() }) }, (b) => ({ total: b.set("x", "text") }));

workflow("caller", { version: "1.0.0" }, (b) => {
  const total: Ref<number> = b.call("child", typed, { id: "1", max: 2 }).total;
  // @ts-expect-error the child wants a number
  b.call("wrong", typed, { id: "1", max: "2" });
  return total;
});

const inferred = workflow("inferred", { version: "1.0.0" }, (b) => ({ list: [b.set("x", { n: 1 }).n], text: t`a` }));
type OutputOf<D> = D extends { types?: { output: infer O } } ? O : never;
export const output: OutputOf<typeof inferred> = { list: [1], text: "a" };
// @ts-expect-error the inferred output knows its types
export const wrongOutput: OutputOf<typeof inferred> = { list: ["1"], text: "a" };
