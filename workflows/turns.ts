import { CancellationScope } from "@temporalio/workflow";
import { quiet } from "./quiet.ts";

/**
 * Local activities that end side by side, let through one at a time, each when all that the one before has set going is at rest.
 *
 * At work their results mostly come one by one; a replay hands over all that came in one workflow task at once, in the same order. What
 * followed from them would be interleaved, and ask for things in another order than it did at work.
 */
export async function inTurn<T>(result: Promise<T>): Promise<T> {
  const line = lineOf(outermost(CancellationScope.current()));
  line.open += 1;
  try {
    return await result;
  } finally {
    line.open -= 1;
    // Beside no other there is nothing to keep apart: what it sets going ends in a later activation, in a replay, too.
    if (line.isMoving || line.open > 0) await turn(line);
  }
}

interface Line {
  /** Asked for and not answered yet. */
  open: number;
  isMoving: boolean;
  readonly waiting: (() => void)[];
}

// By the outermost scope, of which each run has its own: runs share modules.
const lines = new WeakMap<object, Line>();

async function turn(line: Line): Promise<void> {
  if (line.isMoving) await new Promise<void>((pass) => line.waiting.push(pass));
  else line.isMoving = true;
  void CancellationScope.nonCancellable(async () => {
    for (let round = 0; round < roundsToRest; round++) await quiet();
    const next = line.waiting.shift();
    if (next) next();
    else line.isMoving = false;
  });
}

/** What waits for a condition (`until`) takes two rounds, what follows from that two more. */
const roundsToRest = 5;

function lineOf(run: object): Line {
  const line = lines.get(run) ?? { open: 0, isMoving: false, waiting: [] };
  lines.set(run, line);
  return line;
}

const outermost = (scope: CancellationScope): CancellationScope => (scope.parent ? outermost(scope.parent) : scope);
