import { defineCommand, type ArgsDef, type CommandDef, type ParsedArgs } from "citty";
import { nearest } from "../contracts/nearest.ts";

interface Definition<Args extends ArgsDef> {
  name: string;
  description: string;
  args?: Args;
  /** Gives the exit code. */
  run: (args: ParsedArgs<Args>) => number | Promise<number>;
}

/** A command that refuses what it does not know: citty leaves a mistyped option out without a word. */
export function command<const Args extends ArgsDef>({ name, description, args, run }: Definition<Args>): CommandDef<Args> {
  return defineCommand<Args>({
    meta: { name, description },
    ...(args && { args }),
    async run(context) {
      try {
        refuseUnknown(args ?? {}, context.args);
        process.exitCode = await run(context.args);
      } catch (error) {
        console.error(error instanceof Error ? error.message : error);
        process.exitCode = 1;
      }
    },
  });
}

function refuseUnknown(known: ArgsDef, given: { _: string[] }): void {
  const options = Object.keys(known).filter((name) => known[name]?.type !== "positional");
  const positionals = Object.keys(known).filter((name) => known[name]?.type === "positional");
  const unknown = Object.keys(given).find((name) => name !== "_" && !(name in known));
  if (unknown !== undefined) {
    const meant = nearest(unknown, options);
    throw new Error(
      `Unknown option ${unknown.length === 1 ? "-" : "--"}${unknown}.${meant === undefined ? "" : ` Did you mean --${meant}?`}`,
    );
  }
  const surplus = given._[positionals.length];
  if (surplus !== undefined) throw new Error(`Unknown argument ${surplus}. A text with spaces needs quotes.`);
}
