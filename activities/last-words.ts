import { setImmediate as soon } from "node:timers/promises";
import type { Readable } from "node:stream";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { storable } from "../prisma/storable.ts";

/** The end of what a process says on stderr: why it dies, and what it lacks, nobody else can tell. */
export class LastWords {
  #text = "";
  #isCut = false;

  constructor(stderr: Readable) {
    stderr.setEncoding("utf8");
    // Also read when nobody asks: a process whose stderr is full stands still.
    stderr.on("data", (chunk: string) => {
      const text = this.#text + chunk;
      this.#isCut ||= text.length > limits.mcpStderrMax;
      this.#text = text.slice(-limits.mcpStderrMax);
    });
    stderr.on("error", () => undefined);
  }

  /** The same fault with what the process said: all that is kept as `stderr`, the last line in its sentence. */
  async addTo(error: unknown): Promise<unknown> {
    if (!(error instanceof Fault)) return error;
    // What it wrote before it ended is on its way.
    await soon();
    const stderr = this.#kept();
    if (stderr === "") return error;
    const lastLine = stderr.slice(stderr.lastIndexOf("\n") + 1);
    const detail = lastLine.length > LINE_MAX ? error.message : `${error.message.replace(/\.$/, "")}. It said last: ${lastLine}`;
    return Object.assign(Fault.of({ ...error.problem, detail, stderr }), { cause: error });
  }

  /** Without the rest of a word that was cut, by which a secret is no longer known as one, and no larger than a problem keeps. */
  #kept(): string {
    const whole = storable(this.#isCut ? this.#text.replace(/^\S*\s/, "") : this.#text).trim();
    const tooMuch = JSON.stringify(whole).length - limits.errorDetailMax;
    return tooMuch <= 0 ? whole : whole.slice(tooMuch).replace(/^\S*\s/, "");
  }
}

const LINE_MAX = 300;
