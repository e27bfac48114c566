/** Why a text is not the name of a timezone; undefined when it is one. Temporal takes names only as IANA writes them, letter for letter. */
export function timezoneProblem(name: string): string | undefined {
  const canonical = canonicalName(name);
  if (canonical === undefined) return `There is no timezone ${JSON.stringify(name)}; write an IANA name such as Europe/Berlin.`;
  if (canonical === name) return undefined;
  // One that goes by several names may be called by any of them, and how the others are spelled nobody says here.
  const isOtherName = canonical.toLowerCase() !== name.toLowerCase();
  if (isOtherName && isSpelledAsOne(name)) return undefined;
  const meant = isOtherName ? "as IANA does, such as Europe/Berlin" : canonical;
  return `Timezones are taken letter for letter; instead of ${JSON.stringify(name)} write ${meant}.`;
}

/** Each part of every name begins with a capital, and none shouts: `GB-Eire`, `W-SU`, `America/Port_of_Spain`. */
const isSpelledAsOne = (name: string): boolean => name.split("/").every((part) => /^[A-Z]/.test(part) && !/[A-Z]{5}/.test(part));

function canonicalName(name: string): string | undefined {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}
