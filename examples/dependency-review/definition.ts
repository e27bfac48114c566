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
  ({ input, vars, tool, llm, set, when, switchOn, foreach, parallel, loop, approval }) => {
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
            prompt: t`Judge the risk of depending on this npm package as low, medium or high by its signals, and summarise why:
${dependency.name} ${dependency.version} is a ${dependency.kind} dependency under ${manifest.licence}, licence family ${kind.family}, and brings ${dependency.transitive} further packages.
About it: ${manifest.description}
${cel`${signals}.map(s, "- " + s.severity + " signal: " + s.text).join("\n")}`}
${cel`${changelog.lines}.map(line, "- changelog: " + line).join("\n")}`}`,
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
          licence: manifest.licence,
          family: kind.family,
          transitive: dependency.transitive,
          risk: verdict.risk,
          summary: verdict.summary,
        };
      },
      { as: "dependency", concurrency: 6 },
    );

    const facts = set("facts", {
      counts: {
        direct: cel<number>`size(${packages})`,
        all: lockfile.packages,
        high: cel<number>`size(${packages}.filter(p, p.risk == "high"))`,
        medium: cel<number>`size(${packages}.filter(p, p.risk == "medium"))`,
      },
      risks: cel<string>`${packages}.filter(p, p.risk != "low").map(p, "- package: " + p.name + "; risk: " + p.risk + "; because: " + p.summary).join("\n")`,
      licences: cel<string>`${packages}.map(p, "- package: " + p.name + "; licence: " + string(p.licence) + "; family: " + p.family).join("\n")`,
    });

    const reviewers = parallel("reviewers", {
      security: () =>
        llm("review", {
          model,
          prompt: t`You review the security of a project's dependencies. Name the packages that need attention because of install scripts, missing integrity or unusual sources, and assess the whole:\n${facts.risks}`,
          output: Review,
        }),
      licences: () =>
        llm("review", {
          model,
          prompt: t`You review the licences of a project's dependencies. Name the packages whose licence is copyleft or unknown, and assess the whole:\n${facts.licences}`,
          output: Review,
        }),
    });

    const flagged = set(
      "flagged",
      cel<
        Flagged[]
      >`${packages}.filter(p, p.risk == "high" || p.family in ["strong copyleft", "unknown"] || p.name in ${reviewers.security.attention}.map(a, a.package))`,
      {
        export: {
          sections: { Security: reviewers.security.assessment, Licences: reviewers.licences.assessment },
        },
      },
    );

    loop(
      "report",
      () => {
        const check = tool("check", checkReport, { sections: vars.sections, flagged: cel<string[]>`${flagged}.map(p, p.name)` });
        const next = check.missing[0]!;
        switchOn(
          "add",
          [
            {
              name: "flagged",
              when: cel<boolean>`${next.section} == "Flagged packages"`,
              steps: () => tool("draw", drawTable, { packages: flagged }, { summary: next.section }),
            },
            {
              name: "all",
              when: cel<boolean>`${next.by} == "table"`,
              steps: () => tool("draw", drawTable, { packages }, { summary: next.section }),
            },
          ],
          () =>
            llm(
              "words",
              {
                model,
                prompt: t`${next.task}:
${project.name} has ${facts.counts.direct} direct dependencies and ${facts.counts.all} packages in all; ${facts.counts.high} are of high and ${facts.counts.medium} of medium risk.
Security: ${reviewers.security.assessment}
Licences: ${reviewers.licences.assessment}
${facts.risks}`,
              },
              { summary: next.section },
            ),
          {
            if: cel<boolean>`!${check.isComplete}`,
            export: { sections: (text) => cel`merge(${vars.sections}, {${next.section}: ${text}})` },
          },
        );
        return check;
      },
      { maxIterations: 12, until: (check) => check.isComplete },
    );

    const decision = when(
      "gate",
      cel<boolean>`size(${flagged}) > 0`,
      () =>
        approval("approve", {
          title: t`${project.name} depends on ${cel`size(${flagged})`} flagged packages. Keep them?`,
          payload: { packages: flagged },
          assignees: ["role:reviewer"],
          expiresAfter: "2d",
          onExpire: () => set("late", { decision: "expired", approved: false }),
        }),
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

interface Flagged {
  name: string;
  version: string | null;
  kind: string;
  licence: string | null;
  family: "permissive" | "weak copyleft" | "strong copyleft" | "unknown";
  transitive: number;
  risk: "low" | "medium" | "high";
  summary: string;
}
