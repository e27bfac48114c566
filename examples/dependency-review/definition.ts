import { z } from "zod";
import { cel, t, workflow } from "../../language/builder.ts";
import {
  checkReport,
  drawTable,
  Family,
  findSignals,
  readChangelog,
  readLicence,
  readLockfile,
  readManifest,
  readProject,
  Review,
  Verdict,
  writeReport,
  type Reviewed,
} from "./shapes.ts";

const permissive =
  "MIT ISC Apache-2.0 BSD-2-Clause BSD-3-Clause 0BSD BlueOak-1.0.0 CC0-1.0 Unlicense Zlib Python-2.0 MIT-0 WTFPL CC-BY-4.0";
const weakCopyleft = "MPL-2.0 LGPL-2.1 LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only LGPL-3.0-or-later EPL-2.0 CDDL-1.0";
const strongCopyleft =
  "GPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0 GPL-3.0-only GPL-3.0-or-later AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later SSPL-1.0";

export default workflow(
  "dependency-review",
  {
    version: "1.0.0",
    title: "Dependency review",
    description: "Looks at every direct dependency of a Node project, asks a person about the doubtful ones and writes a report.",
    tags: ["example", "supply chain"],
    input: z.object({
      project: z.string().describe("project folder, from the files root of the worker"),
      report: z.string().optional().describe("where to write the report, from the files root; absent: the state folder"),
      model: z.string().optional().describe("alias or provider/model; absent: default"),
    }),
    vars: {
      permissive: permissive.split(" "),
      weakCopyleft: weakCopyleft.split(" "),
      strongCopyleft: strongCopyleft.split(" "),
      sections: {},
    },
  },
  ({ input, vars, tool, llm, set, switchOn, foreach, parallel, loop, approval }) => {
    const model = cel<string>`${input}.?model.orValue("default")`;

    const project = tool("project", readProject, { project: input.project });
    const lockfile = tool("lockfile", readLockfile, { project: input.project, dependencies: project.dependencies });

    const packages = foreach(
      "packages",
      lockfile.dependencies,
      (dependency) => {
        const place = { project: input.project, package: dependency.name };
        const named = { summary: dependency.name };
        const manifest = tool("manifest", readManifest, place, { ...named, needs: [] });
        const licence = tool("licence", readLicence, place, { ...named, needs: [] });
        const changelog = tool("changelog", readChangelog, { ...place, version: dependency.version }, { ...named, needs: [] });
        const kind = switchOn(
          "classify",
          [
            {
              name: "permissive",
              when: cel<boolean>`${manifest.choices}.exists(set, set.all(id, id in ${vars.permissive}))`,
              steps: () => set("known", { family: "permissive" as const }),
            },
            {
              name: "weak",
              when: cel<boolean>`${manifest.choices}.exists(set, set.all(id, id in ${vars.permissive} || id in ${vars.weakCopyleft}))`,
              steps: () => set("known", { family: "weak copyleft" as const }),
            },
            {
              name: "strong",
              when: cel<boolean>`${manifest.choices}.exists(set, set.exists(id, id in ${vars.strongCopyleft}))`,
              steps: () => set("known", { family: "strong copyleft" as const }),
            },
            {
              name: "silent",
              when: cel<boolean>`${licence.file} == null`,
              steps: () => set("known", { family: "unknown" as const }),
            },
          ],
          () =>
            llm("read", {
              model,
              prompt: t`Name the family of this licence, or unknown when the text does not say:\n${licence.text}`,
              output: Family,
            }),
          { needs: [manifest, licence] },
        );
        const declared = cel<string>`${manifest.licence} == null ? "none declared" : ${manifest.licence}`;
        const signals = tool(
          "signals",
          findSignals,
          { dependency, manifest, family: kind.family, hasLicenceFile: cel<boolean>`${licence.file} != null` },
          named,
        );
        const verdict = llm(
          "assess",
          {
            model,
            prompt: t`Judge the risk of depending on ${dependency.name} ${dependency.version} as low, medium or high by what stands out, and summarise that in one or two sentences:
${cel`${signals}.map(s, (s.severity == first(${signals}).severity ? s.severity + " concern: " : "also: ") + s.text + ".").join("\n")`}
Licence of this ${dependency.kind} dependency: ${declared}, ${kind.family}.
${cel`${changelog.lines}.map(line, "Its changelog says: " + line).join("\n")`}`,
            output: Verdict,
          },
          {
            ...named,
            needs: [signals, changelog],
            catch: {
              errors: ["model_output"],
              steps: () => set("unclear", { risk: "medium" as const, summary: "The model gave no usable answer; look at it yourself." }),
            },
          },
        );
        return {
          name: dependency.name,
          version: dependency.version,
          kind: dependency.kind,
          licence: declared,
          family: kind.family,
          transitive: dependency.transitive,
          concerns: cel<string>`${signals}.map(s, s.text).join("; ")`,
          risk: verdict.risk,
          summary: verdict.summary,
        };
      },
      { as: "dependency", concurrency: 6 },
    );

    const facts = set("facts", {
      counts: t`${project.name} has ${cel`size(${packages})`} direct dependencies and ${lockfile.packages} packages in all. ${cel`size(${packages}.filter(p, p.risk == "high"))`} direct dependencies are of high risk, ${cel`size(${packages}.filter(p, p.risk == "medium"))`} of medium risk.`,
      risks: cel<string>`${packages}.all(p, p.risk == "low") ? "Every package is of low risk." : (${packages}.filter(p, p.risk == "high") + ${packages}.filter(p, p.risk == "medium")).map(p, "- package: " + p.name + "; risk: " + p.risk + "; " + p.concerns + ".").join("\n")`,
      licences: cel<string>`"Packages by licence: " + entries(groupBy(${packages}, "licence")).map(e, e.key + " " + string(size(e.value))).join(", ") + "."`,
      copyleft: cel<string>`${packages}.filter(p, p.family != "permissive").map(p, "- package: " + p.name + "; licence: " + p.licence + "; " + p.family + ".").join("\n")`,
    });

    const reviewers = parallel("reviewers", {
      security: () =>
        llm("review", {
          model,
          prompt: t`You review the security of a project's dependencies. Summarise the whole, and name the packages that need a person's attention:\n${facts.risks}`,
          output: Review,
        }),
      licences: () =>
        llm("review", {
          model,
          prompt: t`You review the licences of a project's dependencies. Summarise the whole, and name the packages whose licence needs a person's attention:\n${facts.licences}\n${facts.copyleft}`,
          output: Review,
        }),
    });
    const { security, licences } = reviewers;

    const flagged = set(
      "flagged",
      cel<
        Reviewed[]
      >`${packages}.filter(p, p.risk == "high" || p.family in ["strong copyleft", "unknown"] || p.name in ${security.attention}.map(a, a.package) || p.name in ${licences.attention}.map(a, a.package))`,
      { export: { sections: { Security: security.summary, Licences: licences.summary } } },
    );
    const material = set("material", {
      Summary: t`${facts.counts}
${cel`size(${flagged})`} packages are flagged${cel`size(${flagged}) == 0 ? "" : ": " + ${flagged}.map(p, p.name).join(", ")`}.
${licences.summary}`,
      Security: facts.risks,
      Licences: t`${facts.licences}\n${facts.copyleft}`,
      "Next steps": cel`size(${flagged}) == 0 ? "Keep the lockfile and review new dependencies as they come." : ${flagged}.map(p, "- Look at " + p.name + ": " + p.concerns + ".").join("\n")`,
    });

    loop(
      "report",
      () => {
        const check = tool("check", checkReport, { sections: vars.sections, flagged: cel<string[]>`${flagged}.map(p, p.name)` });
        const next = check.missing[0]!;
        const named = { summary: next.section };
        switchOn(
          "add",
          [
            {
              name: "flagged",
              when: cel<boolean>`${next.section} == "Flagged packages"`,
              steps: () => tool("draw", drawTable, { packages: flagged }, named),
            },
            { name: "all", when: cel<boolean>`${next.by} == "table"`, steps: () => tool("draw", drawTable, { packages }, named) },
          ],
          () => llm("words", { model, prompt: t`${next.task}:\n${cel`${material}[${next.section}]`}` }, named),
          {
            if: cel<boolean>`!${check.isComplete}`,
            export: { sections: (text) => cel`merge(${vars.sections}, {${next.section}: ${text}})` },
          },
        );
        return check;
      },
      { maxIterations: 12, onLimit: "end", until: (check) => check.isComplete },
    );

    const decision = switchOn(
      "gate",
      [
        {
          name: "ask",
          when: cel<boolean>`size(${flagged}) > 0`,
          steps: () =>
            approval("approve", {
              title: t`${project.name} depends on ${cel`size(${flagged})`} flagged packages. Keep them?`,
              payload: { packages: flagged },
              assignees: ["role:reviewer"],
              expiresAfter: "2d",
              onExpire: () => set("late", { decision: "expired", approved: false }),
            }),
        },
      ],
      () => set("clear", { decision: "not needed", approved: true }),
    );

    const written = tool("write", writeReport, {
      title: t`Dependency review of ${project.name}`,
      sections: vars.sections as never,
      decision: decision.decision,
      path: cel<string | null>`${input}.?report.orValue(null)`,
    });
    return { project: project.name, approved: decision.approved, decision: decision.decision, report: written.path, flagged, packages };
  },
);
