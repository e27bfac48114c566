import type { Reviewed } from "./shapes.ts";

interface Wanted {
  section: string;
  by: "model" | "table";
  task: string;
}

/** The checklist: what a report holds, in its order, and who adds it. */
const checklist: Wanted[] = [
  { section: "Summary", by: "model", task: "Write the summary of a dependency review in three sentences" },
  { section: "Flagged packages", by: "table", task: "List the flagged packages" },
  { section: "Security", by: "model", task: "Write what a dependency review found about security in three sentences" },
  { section: "Licences", by: "model", task: "Write what a dependency review found about licences in two sentences" },
  { section: "Next steps", by: "model", task: "Say in three sentences what the project should do next about its dependencies" },
  { section: "All packages", by: "table", task: "List all packages" },
];

type Sections = Record<string, string>;

/** A section counts when it says something; that of the flagged packages when it names each of them. */
export function missingSections({ sections, flagged }: { sections: Sections; flagged: string[] }): Wanted[] {
  return checklist.filter(({ section }) => {
    const text = sections[section] ?? "";
    return text.trim().length < LENGTH_MIN || (section === "Flagged packages" && !flagged.every((name) => text.includes(name)));
  });
}

const LENGTH_MIN = 20;

/** Markdown; the riskiest first. */
export function tableOf(packages: Reviewed[]): string {
  if (packages.length === 0) return "No package was flagged.";
  const order = { high: 0, medium: 1, low: 2 };
  const rows = packages
    .toSorted((a, b) => order[a.risk] - order[b.risk] || a.name.localeCompare(b.name))
    .map(({ name, version, kind, licence, risk, transitive, summary }) =>
      [`\`${name}\``, version ?? "?", kind, licence, risk, String(transitive), summary].map(cell).join(" | "),
    );
  const head = ["Package | Version | Use | Licence | Risk | Brings | Why", "--- | --- | --- | --- | --- | ---: | ---"];
  return [...head, ...rows].map((row) => `| ${row} |`).join("\n");
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replace(/\s+/g, " ");

export function reportText({ title, sections, decision }: { title: string; sections: Sections; decision: string }, runId: string): string {
  const parts = checklist.map(({ section }) => `## ${section}\n\n${sections[section] ?? ""}`);
  return `${[`# ${title}`, `Flagged packages: ${decision}. Run \`${runId}\`.`, ...parts].join("\n\n")}\n`;
}
