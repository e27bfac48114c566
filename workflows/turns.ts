import { CancellationScope } from "@temporalio/workflow";
import { atRest } from "./quiet.ts";

/**
 * Results of local activities: each goes on when nothing else in the run can, one at a time, in the order in which they came.
 *
 * At work they mostly come one by one. A replay has all those of one workflow task in one activation, with what came from outside while
 * they were under way: in the same order, but what followed from them would be interleaved, and ask for things in another order.
 */
export async function inTurn<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } finally {
    await turn(lineOf(outermost(CancellationScope.current())));
  }
}

interface Line {
  isMoving: boolean;
  readonly waiting: (() => void)[];
}

// By the outermost scope, of which each run has its own: runs share modules.
const lines = new WeakMap<object, Line>();

function turn(line: Line): Promise<void> {
  return new Promise((pass) => {
    line.waiting.push(pass);
    if (!line.isMoving) void move(line);
  });
}

async function move(line: Line): Promise<void> {
  line.isMoving = true;
  while (line.waiting.length > 0) {
    await atRest();
    line.waiting.shift()!();
  }
  line.isMoving = false;
}

function lineOf(run: object): Line {
  const line = lines.get(run) ?? { isMoving: false, waiting: [] };
  lines.set(run, line);
  return line;
}

const outermost = (scope: CancellationScope): CancellationScope => (scope.parent ? outermost(scope.parent) : scope);
