import { budgetUnits, capOf, toldAs, type BudgetTerms, type CapName, type Caps, type OnExceed } from "../contracts/budgets.ts";
import { parseDuration } from "./duration.ts";

type CapFields = { [Name in CapName]?: number | string | null | undefined };

interface BudgetFields extends CapFields {
  onExceed?: OnExceed | undefined;
  assignees?: string[] | undefined;
}

/** As people write them; null and what is not named are none. Fault `expression` when the time is no duration. */
export function capsOf({ wallTime, ...amounts }: CapFields): Caps {
  const given: CapFields = { ...amounts, ...(wallTime === undefined || wallTime === null ? {} : { wallTime: parseDuration(wallTime) }) };
  const caps = budgetUnits.map((unit): Caps => {
    const { name } = toldAs[unit];
    const amount = given[name];
    return typeof amount === "number" ? capOf(name, amount) : {};
  });
  return Object.assign({}, ...caps) as Caps;
}

export const termsOf = ({ onExceed = "pause", assignees, ...caps }: BudgetFields): BudgetTerms => ({
  caps: capsOf(caps),
  onExceed,
  ...(assignees ? { assignees } : {}),
});
