/**
 * How many cases a property test plays. All of them by default, as in `npm test`; `npm run check` sets `TEST_SHARE` and plays a part
 * of each. `<NAME>_CASES` asks for another number, whatever the share.
 */
export function casesOf(full: number, name?: string): number {
  const asked = name === undefined ? undefined : process.env[`${name}_CASES`];
  return asked === undefined ? Math.ceil(full * Number(process.env["TEST_SHARE"] ?? 1)) : Number(asked);
}

/** Where random definitions begin: `<NAME>_SEED` plays again what a failure named. */
export const firstSeedOf = (name: string): number => Number(process.env[`${name}_SEED`] ?? 1);
