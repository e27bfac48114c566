import type { JsonObject } from "../../contracts/json.ts";
import { prefixesOf } from "../../language/step-path.ts";
import { hash } from "./answers.ts";
import { broken, type Told } from "./invariants.ts";
import { ledgerOfLog } from "./ledger-of-log.ts";
import { answerRich } from "./people.ts";
import type { Answer, Answers, PlainPort } from "./plain-port.ts";
import { plain } from "./plain.ts";
import { createRandom } from "./random-definition.ts";
import { richDefinition } from "./rich-definition.ts";
import { planOf, runPlain, type PlainRun } from "./run-plain.ts";
import { randomActs, steerBy, type Act } from "./steering.ts";

/** One sequence: a random definition, steered at random, and the run that goes on from it. Gives what is wrong. */
export async function play(seed: number): Promise<string[]> {
  const definition = richDefinition(seed);
  const whole = await steered(seed, definition, []);
  const acts = randomActs(seed, definition, whole.run.port.now());
  const first = await steered(seed, definition, acts);
  return [...whole.faults, ...first.faults, ...differs(definition, acts, whole.run, first.run), ...(await goneOn(seed, first))];
}

interface Played {
  run: PlainRun;
  definition: JsonObject;
  faults: string[];
}

async function steered(
  seed: number,
  definition: JsonObject,
  acts: readonly Act[],
  ledger?: ReturnType<typeof ledgerOfLog>["ledger"],
): Promise<Played> {
  const good = new Map<string, boolean[]>();
  const answer: Answers = (path, fields, attempt) => {
    const given = inTime(path, answerRich(path, fields, attempt));
    good.set(path, [...(good.get(path) ?? []), "output" in given]);
    return given;
  };
  const now = { definition };
  const run = await runPlain(definition, {
    input: { n: seed % 7 },
    answer,
    continues: seed % 2 === 0,
    steer: steerBy(acts, now),
    ...(ledger ? { ledger } : {}),
  });
  const canceledAt = acts.find(({ what }) => what === "cancel")?.at;
  const { port } = run;
  const faults = broken({
    plan: planOf(now.definition),
    log: port.log,
    logsOfParts: port.parts.map(({ log }) => log),
    trace: traceOf(port, good),
    ...(canceledAt === undefined ? {} : { canceledAt }),
  });
  return { run, definition: now.definition, faults: [...faults, ...port.collisions.map(({ identity }) => `Two events are ${identity}`)] };
}

const inTime = (path: string, answer: Answer): Answer => ({ ...answer, afterMs: 1 + (hash(`${path} takes`) % 20_011) });

/** Which ends were good: the calls of one path come one after the other. */
function traceOf(port: PlainPort, good: Map<string, boolean[]>): Told[] {
  const begun = new Map<string, number>();
  return port.trace.map((told) => {
    if (told.what === "start") begun.set(told.path, (begun.get(told.path) ?? 0) + 1);
    return told.what === "end" ? { ...told, isGood: good.get(told.path)![begun.get(told.path)! - 1]! } : told;
  });
}

const steers = new Set(["cancel", "change", "signal", "decide", "attend"]);

/** A run that was only frozen gives what it would have given, where no race decides. */
function differs(definition: JsonObject, acts: readonly Act[], whole: PlainRun, first: PlainRun): string[] {
  if (acts.some(({ what }) => steers.has(what)) || races.test(JSON.stringify(definition))) return [];
  const [before, after] = [whole, first].map(({ end }) => JSON.stringify({ ...end.result, output: plain(end.result.output) }));
  return before === after ? [] : [`The output is ${after}, without a pause it is ${before}`];
}

const races = /"(join|until|timeout|expiresAfter|background|vars|lock|type":"(listen|approval))"|vars\.|park/;

/** A retry or fork of the ended run: it calls nothing that it took over, and keeps the invariants too. */
async function goneOn(seed: number, { run, definition }: Played): Promise<string[]> {
  const random = createRandom(seed ^ 0x11);
  const { log } = run.port;
  const paths = log.filter(({ type }) => type === "step.completed").map(({ step }) => step!);
  const isRetry = !["completed"].includes(run.end.result.status) || paths.length === 0;
  const from = isRetry ? [] : [paths[Math.floor(random() * paths.length)]!];
  const { kept, ledger } = ledgerOfLog(definition, log, { kind: isRetry ? "retry" : "fork", from });
  const second = await steered(seed, definition, [], ledger);
  const wholes = new Set(kept.entries.map(({ path }) => path));
  const again = second.run.port.trace.filter(
    ({ what, path }) => what === "start" && [path, ...prefixesOf(path)].some((around) => wholes.has(around)),
  );
  return [...second.faults, ...again.map(({ path }) => `${path} was called again by the run that took it over`)].map(
    (fault) => `gone on: ${fault}`,
  );
}
