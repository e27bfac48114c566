/**
 * How this code walks a definition, as a number that only grows. A run keeps the one it was started with, in all its
 * executions and in its children; where a later engine does something else, `workflows/` asks `walk.options.engine`.
 */
export const ENGINE_VERSION = 1;
