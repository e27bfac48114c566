/**
 * The licences a package may be used under, from an SPDX expression: one of the lists, all of its members.
 * "(MIT OR GPL-2.0 AND CC0-1.0)" gives [[MIT], [GPL-2.0, CC0-1.0]]. A text that is no expression gives itself.
 */
export function licenceChoices(expression: string): string[][] {
  const words = expression.match(/[()]|[^\s()]+/g) ?? [];
  const reader = { words, next: 0 };
  const choices = readChoices(reader);
  return reader.next === words.length ? choices.slice(0, CHOICES_MAX) : [[expression]];
}

interface Reader {
  words: string[];
  next: number;
}

const CHOICES_MAX = 20;

// OR binds weaker than AND; WITH names an exception, which never takes rights away.
function readChoices(reader: Reader): string[][] {
  const choices = readAll(reader);
  while (take(reader, "OR")) choices.push(...readAll(reader));
  return choices;
}

function readAll(reader: Reader): string[][] {
  let sets = readOne(reader);
  while (take(reader, "AND")) {
    const more = readOne(reader);
    sets = sets.flatMap((left) => more.map((right) => [...left, ...right])).slice(0, CHOICES_MAX);
  }
  return sets;
}

function readOne(reader: Reader): string[][] {
  if (take(reader, "(")) {
    const inner = readChoices(reader);
    take(reader, ")");
    return inner;
  }
  const name = reader.words[reader.next++] ?? "";
  if (take(reader, "WITH")) reader.next++;
  return [[name.replace(/\+$/, "-or-later")]];
}

function take(reader: Reader, word: string): boolean {
  const isNext = reader.words[reader.next]?.toUpperCase() === word;
  if (isNext) reader.next++;
  return isNext;
}
