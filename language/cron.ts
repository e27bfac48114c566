/** Why a text is not a cron expression of minute, hour, day of month, month and day of week; undefined when it is one. */
export function cronProblem(cron: string): string | undefined {
  if (named.has(cron)) return undefined;
  if (cron.startsWith("@")) return `There is no \`${cron}\`; known are ${[...named].join(", ")}.`;
  const parts = cron.trim().split(/\s+/);
  if (parts.length !== fields.length) return `It has ${parts.length} fields; write five: minute, hour, day of month, month, day of week.`;
  for (const [index, field] of fields.entries()) {
    const values = valuesOf(parts[index]!, field);
    if (!values) return `\`${parts[index]}\` cannot stand for the ${field.name}; it goes from ${field.min} to ${field.max}.`;
  }
  return neverComes(parts[2]!, parts[3]!) ? "That day never comes; no month it names is that long." : undefined;
}

interface Field {
  name: string;
  min: number;
  max: number;
  names?: string[];
}

const named = new Set(["@yearly", "@monthly", "@weekly", "@daily", "@hourly"]);

const dayOfMonth: Field = { name: "day of month", min: 1, max: 31 };
const month: Field = { name: "month", min: 1, max: 12, names: "jan feb mar apr may jun jul aug sep oct nov dec".split(" ") };
const fields: Field[] = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  dayOfMonth,
  month,
  { name: "day of week", min: 0, max: 7, names: "sun mon tue wed thu fri sat".split(" ") },
];

/** `*`, `5`, `1-5`, `*` or a range with a step, and lists of these. */
function valuesOf(text: string, field: Field): number[] | undefined {
  const values = text.split(",").map((part) => rangeOf(part, field));
  return values.includes(undefined) ? undefined : values.flatMap((each) => each ?? []);
}

function rangeOf(text: string, field: Field): number[] | undefined {
  const [, range, step = "1"] = /^([^/]+)(?:\/(\d{1,2}))?$/.exec(text) ?? [];
  if (range === undefined || Number(step) === 0) return undefined;
  const [from, to] = range === "*" ? [field.min, field.max] : range.split("-", 2).map((part) => numberOf(part, field));
  const last = to ?? (text.includes("/") ? field.max : from);
  if (range.split("-").length > 2 || from === undefined || last === undefined || (range.includes("-") && to === undefined))
    return undefined;
  if (!(from >= field.min && last <= field.max && from <= last)) return undefined;
  return Array.from({ length: Math.floor((last - from) / Number(step)) + 1 }, (_, index) => from + index * Number(step));
}

function numberOf(text: string, { names, min }: Field): number | undefined {
  if (/^\d{1,2}$/.test(text)) return Number(text);
  const index = names?.indexOf(text.toLowerCase()) ?? -1;
  return index < 0 ? undefined : index + (min === 1 ? 1 : 0);
}

const longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function neverComes(day: string, monthText: string): boolean {
  const days = valuesOf(day, dayOfMonth)!;
  return valuesOf(monthText, month)!.every((each) => days.every((date) => date > longest[each - 1]!));
}
