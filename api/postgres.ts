import { Fault } from "../contracts/faults.ts";

/** P1xxx: Postgres cannot be reached; P2024, of a transaction P2028: no free connection in time; P2037: Postgres has none left. */
const unreachable = /^P1\d{3}$|^P2024$|^P2028$|^P2037$/;
const brokenConnection =
  /ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|Connection terminated|not queryable|Query read timeout|the database system is|timeout exceeded when trying to connect|timeout expired|terminating connection/;

/** A fault when Postgres does not answer; undefined for every other error. */
export function databaseFault(error: unknown): Fault | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (!unreachable.test(code) && !brokenConnection.test(`${code} ${error.message}`)) return undefined;
  return new Fault("unavailable", "The database does not answer; try again.", { cause: error });
}

export const isUniqueViolation = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "P2002";
