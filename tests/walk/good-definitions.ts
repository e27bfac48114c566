import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import type { Json } from "../../contracts/json.ts";
import { recordings } from "../recorded-definitions.ts";
import { randomDefinition } from "./random-definition.ts";

/** Definitions of every kind that are right as they are. */
export function goodDefinitions(): [name: string, definition: Json][] {
  const good = new URL("../definitions/good/", import.meta.url);
  const examples = new URL("../../examples/", import.meta.url);
  const yaml = (folder: URL): [string, Json][] =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".yaml"))
      .map((file) => [file, parse(readFileSync(new URL(file, folder), "utf8")) as Json]);
  const recorded = Object.entries(recordings({ child: "child", foreignQueue: "foreign", agent: "agent" })).map(
    ([name, { steps, more }]): [string, Json] => [name, { name: "recorded", version: "1.0.0", steps, ...more }],
  );
  const random = [1, 2, 3, 4, 5].map((seed): [string, Json] => [`random ${seed}`, randomDefinition(seed)]);
  return [...yaml(good), ...yaml(examples), ...recorded, ...random];
}
