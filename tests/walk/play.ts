import type { JsonObject } from "../../contracts/json.ts";
import { keptPaths } from "../../language/ledger.ts";
import { hash } from "./answers.ts";
import { broken, underOldKeys, type Told } from "./invariants.ts";
import { ledgerOfLog } from "./ledger-of-log.ts";
import { answerRich } from "./people.ts";
import type { Answer, Answers, PlainPort } from "./plain-port.ts";
import { plain } from "./plain.ts";
import { createRandom } from "./random-definition.ts";
import { richDefinition } from "./rich-definition.ts";
import { planOf } from "./plan-of.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";
import { randomActs, steerBy, type Act, type Steered } from "./steering.ts";

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
  trace: Told[];
  faults: string[];
}

/** What was asked of the far end, by path: under which key, and whether the answer was good. */
type Asked = Map<string, { key?: string; isGood: boolean }[]>;

async function steered(
  seed: number,
  definition: JsonObject,
  acts: readonly Act[],
  from: Pick<NonNullable<Parameters<typeof runPlain>[1]>, "ledger" | "retryOf"> = {},
): Promise<Played> {
  const asked: Asked = new Map();
  const answer: Answers = (path, fields, attempt, key) => {
    const given = inTime(path, answerRich(path, fields, attempt));
    asked.set(path, [...(asked.get(path) ?? []), { isGood: "output" in given, ...(key === undefined ? {} : { key }) }]);
    return given;
  };
  const now: Steered = { definition, taken: [] };
  const run = await runPlain(definition, {
    input: { n: seed % 7 },
    answer,
    continues: seed % 2 === 0,
    steer: steerBy(acts, now),
    ...from,
  });
  const canceledAt = acts.find(({ what }) => what === "cancel")?.at;
  const [port, ...parts] = portsOf(run.port) as [PlainPort, ...PlainPort[]];
  const trace = traceOf(port, asked);
  const faults = broken({
    plan: planOf(now.definition),
    log: port.log,
    logsOfParts: parts.map(({ log }) => log),
    trace,
    ...(canceledAt === undefined ? {} : { canceledAt }),
  });
  const collisions = [port, ...parts].flatMap((each) => each.collisions);
  const odd = [...collisions.map(({ identity }) => `Two events are ${identity}`), ...untold(now, port)];
  return { run, definition: now.definition, trace, faults: [...faults, ...odd] };
}

/** What it has taken in the run has made, or says why not. */
function untold({ taken }: Steered, { log }: PlainPort): string[] {
  const told = log.filter(({ type }) => type === "plan.changed" || type === "plan.refused").map(({ data }) => data["change"]);
  return taken
    .filter((id) => told.filter((other) => other === id).length !== 1)
    .map((id) => `Of change ${id} the log does not say once what became`);
}

/** Of the run and of all that walk parts of it. */
const portsOf = (port: PlainPort): PlainPort[] => [port, ...port.parts.flatMap(portsOf)];

const inTime = (path: string, answer: Answer): Answer => ({ ...answer, afterMs: 1 + (hash(`${path} takes`) % 20_011) });

/** Under which keys calls were made, and which ends were good: the calls of one path come one after the other. */
function traceOf(port: PlainPort, asked: Asked): Told[] {
  const begun = new Map<string, number>();
  return port.trace.map((told) => {
    if (told.what === "start") begun.set(told.path, (begun.get(told.path) ?? 0) + 1);
    const { key, isGood } = asked.get(told.path)![begun.get(told.path)! - 1]!;
    if (told.what === "start") return { ...told, ...(key === undefined ? {} : { key }) };
    return told.what === "end" ? { ...told, isGood } : told;
  });
}

const steers = new Set(["cancel", "change", "signal", "decide", "attend"]);

/** A run that was only frozen gives what it would have given, where no race decides. */
function differs(definition: JsonObject, acts: readonly Act[], whole: PlainRun, first: PlainRun): string[] {
  if (acts.some(({ what }) => steers.has(what)) || races.test(JSON.stringify(definition))) return [];
  const [before, after] = [whole, first].map(({ end }) => JSON.stringify({ ...end.result, output: plain(end.result.output) }));
  return before === after ? [] : [`The output is ${after}, without a pause it is ${before}`];
}

const races = /"(join|until|timeout|expiresAfter|background|vars|lock|type":"(listen|approval))"|vars\.|park|test\.dear/;

/** A retry or fork of the ended run: it calls nothing that it took over, and keeps the invariants too. */
async function goneOn(seed: number, first: Played): Promise<string[]> {
  const { run, definition } = first;
  const random = createRandom(seed ^ 0x11);
  const { log } = run.port;
  const paths = log.filter(({ type }) => type === "step.completed").map(({ step }) => step!);
  const isRetry = !["completed"].includes(run.end.result.status) || paths.length === 0;
  const from = [paths[Math.floor(random() * paths.length)]!];
  const fork = isRetry ? undefined : ledgerOfLog(definition, log, { kind: "fork", from });
  const second = await steered(seed, definition, [], fork ? { ledger: fork.ledger } : { retryOf: run });
  const isKept = keptPaths(fork?.kept ?? second.run.kept!);
  const again = second.run.port.trace.filter(({ what, path }) => what === "start" && isKept(path) && !path.includes("compensate."));
  return [
    ...second.faults,
    ...(isRetry ? underOldKeys(oneAfterTheOther(first, second)) : []),
    ...again.map(({ path }) => `${path} was called again by the run that took it over`),
  ].map((fault) => `gone on: ${fault}`);
}

function oneAfterTheOther(first: Played, second: Played): Parameters<typeof underOldKeys>[0] {
  const logs = [first, second].flatMap(({ run }) => portsOf(run.port).map(({ log }) => log));
  return { trace: [...first.trace, ...second.trace], log: [], logsOfParts: logs };
}
