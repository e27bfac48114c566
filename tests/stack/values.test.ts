import { afterAll, describe, expect, test } from "@jest/globals";
import { Transcripts } from "../../activities/transcripts.ts";
import type { Message } from "../../activities/model-port.ts";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { admin, facts, host, Place, type ApprovalBody, type Page, type RunBody } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const KB = 1_024;
const text = (bytes: number): string => "abcdefgh".repeat(bytes / 8);

describe("values above 16 KB", () => {
  test("an input comes back whole", async () => {
    const input = { text: text(40 * KB) };
    const run = await admin.finish({ steps: [set("a", 1)] }, input);
    expect(run.input).toEqual(input);
  });

  test("an output comes back whole", async () => {
    const run = await admin.finish({ steps: [set("a", "${input.text + input.text}")] }, { text: text(12 * KB) });
    expect(run.output).toBe(text(24 * KB));
  });

  test("a step's output comes back whole", async () => {
    const run = await admin.begin({ steps: [{ id: "list", type: "tool", tool: "test.list", arguments: { count: 50, bytes: 1_000 } }] });
    await run.end();
    expect(JSON.stringify((await run.step("list")).output).length).toBeGreaterThan(50_000);
  });

  test("in a list of steps it stands as a reference", async () => {
    const run = await admin.begin({ steps: [{ id: "list", type: "tool", tool: "test.list", arguments: { count: 50, bytes: 1_000 } }] });
    await run.end();
    expect((await run.steps())[0]!.output).toEqual({ $tenutoRef: expect.any(String), bytes: expect.any(Number) });
  });

  test("an expression reads inside", async () => {
    const list = { id: "list", type: "tool", tool: "test.list", arguments: { count: 50, bytes: 1_000 } };
    const run = await admin.finish({
      steps: [
        list,
        set("a", ["${size(steps.list.output)}", "${steps.list.output[7].n}", "${steps.list.output.filter(x, x.n > 47).map(x, x.n)}"]),
      ],
    });
    expect(run.output).toEqual([50, 7, [48, 49]]);
  });

  test("a condition reads inside", async () => {
    const list = { id: "list", type: "tool", tool: "test.list", arguments: { count: 50, bytes: 1_000 } };
    const run = await admin.finish({ steps: [list, { ...set("a", "yes"), if: "${steps.list.output[3].n == 3}" }] });
    expect(run.output).toBe("yes");
  });

  test("an expression that fails inside names the step", async () => {
    const list = { id: "list", type: "tool", tool: "test.list", arguments: { count: 50, bytes: 1_000 } };
    const run = await admin.finish({ steps: [list, set("a", "${steps.list.output[70].n}")] });
    expect(run.error).toMatchObject({ type: "expression", instance: "a" });
  });

  test("an event's data reaches the listener whole", async () => {
    const run = await admin.begin({
      steps: [{ id: "l", type: "listen", one: { event: "go", when: "${size(event.data) > 10}" } }],
      output: "${steps.l.output.data}",
    });
    await run.signal("go", text(40 * KB));
    expect((await run.end()).output).toBe(text(40 * KB));
  });

  test("an approval shows its payload whole", async () => {
    const run = await admin.begin({ steps: [{ id: "ask", type: "approval", title: "?", payload: "${input}" }] }, text(40 * KB));
    const { body } = await admin.get<ApprovalBody>(`/api/v2/approvals/${await run.approval("ask")}`);
    expect(body.payload).toBe(text(40 * KB));
  });

  test("a child gets its input and gives its output whole", async () => {
    const child = await admin.publish({ steps: [set("a", "${input}")] });
    const run = await admin.finish({ steps: [{ id: "c", type: "workflow", workflow: child, input: "${input}" }] }, text(40 * KB));
    expect(run.output).toBe(text(40 * KB));
  });

  test("a raised error with much to say ends the run", async () => {
    const run = await admin.finish({ steps: [{ id: "r", type: "raise", error: { type: "odd", detail: "${input}" } }] }, text(40 * KB));
    expect(run).toMatchObject({ status: "failed", error: { type: "odd" } });
  });
});

describe("a body of 1 MB", () => {
  const big = { items: Array.from({ length: 8 }, () => text(128 * KB)) };
  const through = async () => {
    const place = new Place();
    const reply = { headers: { "content-type": "application/json" }, body: JSON.stringify(big) };
    await place.script(reply, reply);
    const send = (id: string, body: string) => ({ id, type: "http", method: "POST", url: place.url, body });
    const steps = [
      { id: "get", type: "http", url: place.url },
      send("one", "${steps.get.output.body}"),
      send("two", "${steps.one.output.body}"),
    ];
    const run = await admin.begin({ steps, output: "${steps.get.output.body}" });
    return { run, place };
  };

  test("passes through three steps whole", async () => {
    const { run, place } = await through();
    await run.end();
    const bodies = (await place.calls(3)).slice(1).map(({ body }) => JSON.parse(body) as unknown);
    expect(bodies).toEqual([big, big]);
  });

  test("is the run's output, whole", async () => {
    const { run } = await through();
    expect((await run.end()).output).toEqual(big);
  });

  test("stays out of the history", async () => {
    const { run } = await through();
    await run.end();
    expect((await host.historySize("default", run.id)).bytes).toBeLessThan(64 * KB);
  });
});

describe("an agent's conversation, as two workers know it", () => {
  const databases = [openDatabase(facts.databaseUrl, 1), openDatabase(facts.databaseUrl, 1)] as [Database, Database];
  const [one, other] = databases;
  afterAll(() => Promise.all(databases.map((database) => database.$disconnect())));
  const says = (content: string): Message => ({ role: "user", content });
  const turns = ["a", text(40 * KB), "b", text(40 * KB), "NUL \0 and \ud800 half", "c"];

  /** By one worker, turn by turn. */
  async function conversation(tenant: string): Promise<string[]> {
    const hashes: string[] = [];
    for (const turn of turns) hashes.push(await new Transcripts(one, tenant).extend(hashes.at(-1) ?? null, [says(turn)]));
    return hashes;
  }

  test("is the same for both after each turn, chunk by chunk", async () => {
    const hashes = await conversation("default");
    const told = turns.map((turn) => turn.replace("\0", "\ufffd").replace("\ud800", "\ufffd"));
    for (const [index, hash] of hashes.entries()) {
      const expected = told.slice(0, index + 1).map(says);
      expect(await new Transcripts(one, "default").read(hash)).toEqual(expected);
      expect(await new Transcripts(other, "default").read(hash)).toEqual(expected);
    }
  });

  test("is nobody else's, and what a worker is given it may change", async () => {
    const hash = (await conversation("conversing")).at(-1)!;
    const mine = new Transcripts(one, "conversing");
    (await mine.read(hash)).at(-1)!.content = "changed";
    expect((await mine.read(hash)).at(-1)).toEqual(says("c"));
    for (const database of databases) await expect(new Transcripts(database, "stranger").read(hash)).rejects.toThrow();
  });

  test("is stored when it is kept, whatever a worker remembers of it", async () => {
    const hash = await new Transcripts(one, "conversing").extend(null, [says("once more")]);
    await one.blob.deleteMany({ where: { tenant: "conversing", sha256: hash } });
    expect(await new Transcripts(one, "conversing").read(hash)).toEqual([says("once more")]);
    expect(await new Transcripts(one, "conversing").extend(null, [says("once more")])).toBe(hash);
    expect(await new Transcripts(other, "conversing").read(hash)).toEqual([says("once more")]);
  });
});

describe("foreach over a stored list of 2,000 small items", () => {
  const steps = [
    { id: "list", type: "tool", tool: "test.list", arguments: { count: 2_000, bytes: 20 } },
    { id: "f", type: "foreach", items: "${steps.list.output}", concurrency: 200, steps: [set("a", "${item.n * 2}")] },
  ];

  test("gives every item's output", async () => {
    const run = await admin.finish({ steps, output: ["${size(steps.f.output)}", "${steps.f.output[1999]}"] });
    expect(run.output).toEqual([2_000, 3_998]);
  });

  test("keeps the history small", async () => {
    const run = await admin.begin({ steps, output: "${size(steps.f.output)}" });
    await run.end();
    expect((await host.historySize("default", run.id)).bytes).toBeLessThan(1_024 * KB);
  });

  test("tells every item in the logs of its windows, 1..n without gap", async () => {
    const run = await admin.begin({ steps, output: "${size(steps.f.output)}" });
    await run.end();
    const { body } = await admin.get<Page<RunBody>>(`/api/v2/runs?parentId=${run.id}`);
    const logs = await Promise.all([run, ...body.data.map(({ id }) => admin.run(id))].map((each) => each.events()));
    const items = logs.flat().filter(({ type, step }) => type === "step.completed" && step?.startsWith("f["));
    expect(new Set(items.map(({ step }) => step!.split(".")[0])).size).toBe(2_000);
    for (const log of logs) expect(log.at(-1)!.seq).toBe(log.length);
  });
});
