import type { Detail } from "../contracts/api.schema.ts";
import { isSpan } from "../language/duration.ts";

/** What a schema cannot say of the durations in a body: those, by their pointer, that are none. */
export const notSpans = (given: readonly (readonly [pointer: string, value: string | number | undefined])[]): Detail[] =>
  given.flatMap(([pointer, value]) => (value === undefined || isSpan(value) ? [] : [{ pointer, ...notSpan }]));

const notSpan = { code: "duration", message: "A duration above 0, such as `90s`, `10m`, `PT1H`, or a number of milliseconds." };
