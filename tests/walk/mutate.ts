import { isObject, type Json, type JsonObject } from "../../contracts/json.ts";

/** How a definition is damaged in one place. */
export const damages = ["delete", "duplicate", "retype", "rename", "dangle", "cycle"] as const;
export type Damage = (typeof damages)[number];

/** A copy of a definition with one place damaged; undefined when it has no place for this damage. */
export function mutate(definition: Json, how: Damage, random: () => number): JsonObject | undefined {
  const copy = structuredClone(definition) as JsonObject;
  const places = placesIn(copy).filter((place) => suits(place, how));
  const place = places[Math.floor(random() * places.length)];
  if (!place) return undefined;
  damage[how](place, random);
  return copy;
}

interface Place {
  container: Json[] | JsonObject;
  key: string;
  value: Json;
}

const placesIn = (value: Json): Place[] =>
  Array.isArray(value) || isObject(value)
    ? Object.entries(value).flatMap(([key, member]) => [{ container: value, key, value: member }, ...placesIn(member)])
    : [];

const isSteps = (value: Json): value is JsonObject[] =>
  Array.isArray(value) && value.length > 0 && value.every((each) => isObject(each) && "type" in each);

function suits({ value, key }: Place, how: Damage): boolean {
  if (how === "cycle") return isSteps(value);
  if (how === "dangle")
    return key === "needs" || (typeof value === "string" && /\b(steps|input|vars|item|output|event|error)\./.test(value));
  return true;
}

const damage: Record<Damage, (place: Place, random: () => number) => void> = {
  delete: ({ container, key }) => remove(container, key),
  duplicate: ({ container, key, value }) => {
    if (Array.isArray(container)) container.splice(Number(key), 0, structuredClone(value));
    else container[`${key}_too`] = structuredClone(value);
  },
  retype: ({ container, key, value }, random) => put(container, key, otherThan(value, random)),
  rename: ({ container, key, value }, random) => {
    if (typeof value === "string")
      put(
        container,
        key,
        value.replace(/[a-z]/i, (letter) => letter + letter),
      );
    else if (Array.isArray(container)) container.reverse();
    else renameKey(container, key, random() < 0.5 ? `${key}s` : key.slice(1) || "x");
  },
  dangle: ({ container, key, value }) => {
    if (typeof value !== "string") put(container, key, ["nobody"]);
    else put(container, key, value.replace(/\b(steps|input|vars|item|output|event|error)\.(\w+)/, "$1.nobody"));
  },
  cycle: ({ value }, random) => {
    const steps = value as JsonObject[];
    const at = Math.floor(random() * steps.length);
    steps[at]!["needs"] = steps.slice(at).map((step) => step["id"] ?? "x");
  },
};

const others: Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1_000_000_000_000,
  "",
  "${",
  "${1 / 0}",
  "${input}",
  "x",
  [],
  [[]],
  {},
  { id: "x", type: "set", values: 1 },
];

const otherThan = (value: Json, random: () => number): Json => {
  const choices = others.filter((other) => typeof other !== typeof value || typeof value === "string");
  return structuredClone(choices[Math.floor(random() * choices.length)]!);
};

function put(container: Json[] | JsonObject, key: string, value: Json): void {
  if (Array.isArray(container)) container[Number(key)] = value;
  else container[key] = value;
}

function remove(container: Json[] | JsonObject, key: string): void {
  if (Array.isArray(container)) container.splice(Number(key), 1);
  else delete container[key];
}

function renameKey(container: JsonObject, key: string, name: string): void {
  const entries = Object.entries(container);
  for (const each of Object.keys(container)) delete container[each];
  for (const [each, value] of entries) container[each === key ? name : each] = value;
}
