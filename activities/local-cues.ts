import { contentWords } from "./local-text.ts";

/** Words that speak for a label although they do not contain it. A classifier's whole knowledge. */
const cues = new Map(
  Object.entries({
    positive: "great good love excellent thanks happy perfect wonderful amazing pleased recommend",
    negative: "bad terrible awful hate angry broken disappointed worst poor unhappy useless refund complaint",
    urgent: "urgent immediately asap emergency now outage down critical deadline blocked",
    high: "urgent critical severe major serious fraud breach outage legal danger large risk",
    low: "minor small trivial whenever routine typo question cosmetic",
    billing: "invoice charge charged refund payment bill price card subscription paid money",
    technical: "error bug crash crashes fails broken login install exception timeout slow server",
    account: "account password login profile username email access",
    shipping: "delivery parcel package shipped tracking courier arrive arrived late",
    sales: "buy purchase quote pricing demo trial upgrade order",
    spam: "winner lottery click free prize viagra crypto unsubscribe",
    approve: "approved fine correct complete valid agree accept",
    reject: "denied invalid missing wrong fraud refuse expired",
    risk: "risk fraud urgent suspicious overdue breach unknown unusual mismatch penalty late missing",
  }),
);

const sameAs = new Map(
  Object.entries({
    good: "positive",
    bad: "negative",
    critical: "high",
    severe: "high",
    severity: "risk",
    urgency: "urgent",
    bug: "technical",
    support: "technical",
    delivery: "shipping",
    approved: "approve",
    rejected: "reject",
    deny: "reject",
    score: "risk",
    positivity: "positive",
  }),
);

/** Stems that speak for a label; empty for a label we know nothing of. */
export function cueWords(label: string): string[] {
  const names =
    label
      .replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2")
      .toLowerCase()
      .match(/[a-z]+/g) ?? [];
  return names.flatMap((name) => contentWords(cues.get(name) ?? cues.get(sameAs.get(name) ?? "") ?? ""));
}

const negations = new Set(["not", "no", "never", "without", "isn't", "don't", "doesn't", "cannot"]);

/** Whether the sentence denies what it says. */
export const isNegated = (text: string): boolean => (text.toLowerCase().match(/[a-z']+/g) ?? []).some((word) => negations.has(word));
