import { cel, t, type Ref } from "../../language/builder.ts";
import { modelOf, type ReviewBuilder } from "./package-steps.ts";
import { checkReport, drawTable, Review, type Reviewed } from "./shapes.ts";

type Packages = Ref<Reviewed[]>;

/** What the reviewers and the writer of the report read. Costs nothing: no call, no event of Temporal's. */
export function gatherFacts({ set }: ReviewBuilder, packages: Packages, headline: Ref<string>) {
  const ofRisk = (risk: string) => cel<Reviewed[]>`${packages}.filter(p, p.risk == ${risk})`;
  const [high, medium] = [ofRisk("high"), ofRisk("medium")];
  const line = cel`"- package: " + p.name + "; risk: " + p.risk + "; " + p.concerns + "."`;
  const group = cel`e.key + " " + string(size(e.value))`;
  return set("facts", {
    counts: t`${headline}. Of ${cel`size(${packages})`} direct dependencies ${cel`size(${high})`} are of high and ${cel`size(${medium})`} of medium risk.`,
    risks: cel<string>`size(${high} + ${medium}) == 0 ? "Every package is of low risk." : (${high} + ${medium}).map(p, ${line}).join("\n")`,
    licences: cel<string>`"Packages by licence: " + entries(groupBy(${packages}, "licence")).map(e, ${group}).join(", ") + "."`,
    copyleft: cel<string>`${packages}.filter(p, p.family != "permissive").map(p, "- package: " + p.name + "; licence: " + p.licence + "; " + p.family + ".").join("\n")`,
  });
}

type Facts = ReturnType<typeof gatherFacts>;

export function askReviewers({ llm, parallel, input }: ReviewBuilder, facts: Facts) {
  const model = modelOf(input);
  const ask = (prompt: Ref<string>) => llm("review", { model, prompt, output: Review });
  return parallel("reviewers", {
    security: () =>
      ask(t`You review the security of a project's dependencies. Summarise the whole, and name the packages that need a person's attention:
${facts.risks}`),
    licences: () =>
      ask(t`You review the licences of a project's dependencies. Summarise the whole, and name the packages whose licence needs a person's attention:
${facts.licences}
${facts.copyleft}`),
  });
}

interface Draft {
  packages: Packages;
  flagged: Packages;
  facts: Facts;
  /** What the licence reviewer said. */
  summary: Ref<string>;
}

/** Add one missing section after the other until the checklist is met. */
export function completeReport(builder: ReviewBuilder, { packages, flagged, facts, summary }: Draft): void {
  const { input, vars, tool, llm, set, switchOn, loop } = builder;
  const names = cel<string[]>`${flagged}.map(p, p.name)`;
  const material = set("material", {
    Summary: t`${facts.counts}\n${cel`size(${flagged})`} packages are flagged${cel`size(${flagged}) == 0 ? "" : ": " + ${names}.join(", ")`}.\n${summary}`,
    Security: facts.risks,
    Licences: t`${facts.licences}\n${facts.copyleft}`,
    "Next steps": cel`size(${flagged}) == 0 ? "Keep the lockfile and review new dependencies as they come." : ${flagged}.map(p, "- Look at " + p.name + ": " + p.concerns + ".").join("\n")`,
  });
  const addSection = (next: { section: Ref<string>; by: Ref<string>; task: Ref<string> }, isComplete: Ref<boolean>) => {
    const draw = (rows: Packages) => () => tool("draw", drawTable, { packages: rows }, { summary: next.section });
    const cases = [
      { name: "flagged", when: cel<boolean>`${next.section} == "Flagged packages"`, steps: draw(flagged) },
      { name: "all", when: cel<boolean>`${next.by} == "table"`, steps: draw(packages) },
    ];
    const prompt = t`${next.task}:\n${cel`${material}[${next.section}]`}`;
    switchOn("add", cases, () => llm("words", { model: modelOf(input), prompt }, { summary: next.section }), {
      if: cel<boolean>`!${isComplete}`,
      export: { sections: (text) => cel`merge(${vars.sections}, {${next.section}: ${text}})` },
    });
  };
  const iteration = () => {
    const check = tool("check", checkReport, { sections: vars.sections, flagged: names });
    addSection(check.missing[0]!, check.isComplete);
    return check;
  };
  loop("report", iteration, { maxIterations: 12, onLimit: "end", until: (check) => check.isComplete });
}

export function decide({ approval, set, switchOn }: ReviewBuilder, project: Ref<string>, flagged: Packages) {
  const count = cel<number>`size(${flagged})`;
  const ask = () =>
    approval("approve", {
      title: t`${project} depends on ${count} flagged packages. Keep them?`,
      payload: { packages: flagged },
      assignees: ["role:reviewer"],
      expiresAfter: "2d",
      onExpire: () => set("late", { decision: "expired", approved: false }),
    });
  const clear = () => set("clear", { decision: "not needed", approved: true });
  return switchOn("gate", [{ name: "ask", when: cel<boolean>`${count} > 0`, steps: ask }], clear);
}
