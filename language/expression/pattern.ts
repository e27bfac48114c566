import type { Meter } from "./values.ts";
import { Fault } from "../../contracts/faults.ts";
import { limits } from "../../contracts/limits.ts";
import { parsePattern, PatternError, type PatternNode, type CharacterTest } from "./pattern-syntax.ts";

/**
 * Regular expressions as `matches` has them: RE2 syntax without captures, found anywhere in the text. All states
 * advance together, so the time is text times pattern for every pattern; JavaScript's own RegExp backtracks and can
 * block a worker for minutes on 4 KB of text.
 */
export function matchesPattern(text: string, pattern: string, meter: Meter): boolean {
  if (text.length > limits.regexInputMax)
    throw new Fault("limit", `\`matches\` reads texts of up to ${limits.regexInputMax} characters; take a part of it with substring(…).`);
  meter.spend(text.length >> 4);
  return run(
    compiledPattern(pattern),
    Array.from(text, (character) => character.codePointAt(0)!),
    meter,
  );
}

/** Throws PatternError with a sentence that says what to do. */
export function checkPattern(pattern: string): void {
  compile(pattern);
}

/** Steps of a tiny machine; `jump` goes on at all its targets at once. */
export type Instruction =
  | { kind: "character"; test: CharacterTest }
  | { kind: "jump"; targets: number[] }
  | { kind: "assert"; test: (before: number | undefined, after: number | undefined) => boolean }
  | { kind: "found" };

const programs = new Map<string, Instruction[]>();

export function compiledPattern(pattern: string): Instruction[] {
  let program = programs.get(pattern);
  if (program === undefined) {
    if (programs.size >= 100) programs.clear();
    program = compile(pattern);
    programs.set(pattern, program);
  }
  return program;
}

function compile(pattern: string): Instruction[] {
  const program: Instruction[] = [];
  emit(parsePattern(pattern), program);
  program.push({ kind: "found" });
  return program;
}

function emit(node: PatternNode, program: Instruction[]): void {
  if (program.length > instructionsMax)
    throw new PatternError(`The pattern repeats too much; at most ${instructionsMax} characters when written out.`);
  switch (node.kind) {
    case "character":
    case "assert":
      program.push(node);
      return;
    case "sequence":
      for (const part of node.parts) emit(part, program);
      // Also nothing takes an instruction, so that nothing repeated a billion times is noticed.
      if (node.parts.length === 0) program.push({ kind: "jump", targets: [program.length + 1] });
      return;
    case "choice":
      return emitChoice(node.choices, program);
    case "repeat":
      return emitRepeat(node, program);
  }
}

const instructionsMax = 1_000;

function emitChoice(choices: PatternNode[], program: Instruction[]): void {
  const start: Instruction = { kind: "jump", targets: [] };
  program.push(start);
  const ends: { kind: "jump"; targets: number[] }[] = [];
  for (const choice of choices) {
    start.targets.push(program.length);
    emit(choice, program);
    const end = { kind: "jump" as const, targets: [] };
    ends.push(end);
    program.push(end);
  }
  for (const end of ends) end.targets.push(program.length);
}

function emitRepeat({ body, min, max }: Extract<PatternNode, { kind: "repeat" }>, program: Instruction[]): void {
  for (let count = 0; count < min; count++) emit(body, program);
  if (max === undefined) {
    const loop: Instruction = { kind: "jump", targets: [program.length + 1] };
    const at = program.push(loop) - 1;
    emit(body, program);
    program.push({ kind: "jump", targets: [at] });
    loop.targets.push(program.length);
    return;
  }
  const exits: { kind: "jump"; targets: number[] }[] = [];
  for (let count = min; count < max; count++) {
    const exit = { kind: "jump" as const, targets: [program.length + 1] };
    exits.push(exit);
    program.push(exit);
    emit(body, program);
  }
  for (const exit of exits) exit.targets.push(program.length);
}

function run(program: Instruction[], text: number[], meter: Meter): boolean {
  let states = new Set<number>();
  for (let at = 0; at <= text.length; at++) {
    const here = close(program, states.add(0), text[at - 1], text[at]);
    meter.spend(1 + (here.size >> 3));
    states = new Set();
    for (const state of here) {
      const instruction = program[state]!;
      if (instruction.kind === "found") return true;
      if (instruction.kind === "character" && at < text.length && instruction.test(text[at]!)) states.add(state + 1);
    }
  }
  return false;
}

/** All states that are reached without reading a character. */
function close(program: Instruction[], states: Set<number>, before: number | undefined, after: number | undefined): Set<number> {
  // A set may grow while it is walked: what is added is walked too.
  for (const state of states) {
    const instruction = program[state]!;
    if (instruction.kind === "jump") for (const target of instruction.targets) states.add(target);
    if (instruction.kind === "assert" && instruction.test(before, after)) states.add(state + 1);
  }
  return states;
}
