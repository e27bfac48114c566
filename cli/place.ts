import type { Settings } from "../settings.ts";
import type { Child } from "./child.ts";
import type { Laptop } from "./laptop.ts";
import type { StackPorts } from "./ports.ts";

/** What a part needs to know to find or start itself. */
export interface Place {
  settings: Settings;
  laptop: Laptop;
  ports: StackPorts;
  stateDir: string;
  env: NodeJS.ProcessEnv;
  log: (line: string) => void;
  /** To be called as soon as a process exists, so that it is ended whatever happens next. */
  keep: (child: Child) => Promise<void>;
}

/** A part that answers. */
export interface Server {
  url: string;
  /** For people: where it came from. */
  how: string;
  /** Absent when it is not ours. */
  child?: Child;
}
