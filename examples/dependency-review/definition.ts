import { cel, t, workflow } from "../../language/builder.ts";
import { licences } from "./licences.ts";
import { reviewPackage } from "./package-steps.ts";
import { askReviewers, completeReport, decide, gatherFacts } from "./report-steps.ts";
import { Input, readLockfile, readProject, writeReport, type Reviewed } from "./shapes.ts";

export default workflow(
  "dependency-review",
  {
    version: "1.0.0",
    title: "Dependency review",
    description: "Looks at every direct dependency of a Node project, asks a person about the doubtful ones and writes a report.",
    tags: ["example", "supply chain"],
    input: Input,
    vars: { ...licences, sections: {} },
  },
  (builder) => {
    const { input, vars, tool, set, foreach } = builder;
    const project = tool("project", readProject, { project: input.project });
    const lockfile = tool("lockfile", readLockfile, { project: input.project, dependencies: project.dependencies });
    const packages = foreach("packages", lockfile.dependencies, (dependency) => reviewPackage(builder, dependency), {
      as: "dependency",
      concurrency: 6,
    });

    const facts = gatherFacts(builder, packages, cel`${project.name} + " has " + string(${lockfile.packages}) + " packages in all"`);
    const { security, licences: legal } = askReviewers(builder, facts);
    const isDoubtful = cel<boolean>`p.risk == "high" || p.family in ["strong copyleft", "unknown"]`;
    const isNamed = cel<boolean>`p.name in ${security.attention}.map(a, a.package) || p.name in ${legal.attention}.map(a, a.package)`;
    const flagged = set("flagged", cel<Reviewed[]>`${packages}.filter(p, ${isDoubtful} || ${isNamed})`, {
      export: { sections: { Security: security.summary, Licences: legal.summary } },
    });

    completeReport(builder, { packages, flagged, facts, summary: legal.summary });
    const decision = decide(builder, project.name, flagged);
    const report = tool("write", writeReport, {
      title: t`Dependency review of ${project.name}`,
      // Filled by `export`, one section at a time.
      sections: vars.sections as never,
      decision: decision.decision,
      path: cel<string | null>`${input}.?report.orValue(null)`,
    });
    return { project: project.name, approved: decision.approved, decision: decision.decision, report: report.path, flagged, packages };
  },
);
