import type { LockedDependency, PackageManifest, Reviewed, Signal } from "./shapes.ts";

interface Facts {
  dependency: LockedDependency;
  manifest: PackageManifest;
  family: Reviewed["family"];
  hasLicenceFile: boolean;
}

/** Rules, not judgement: the model is asked what they mean together. The gravest first. */
export function signalsOf(facts: Facts): Signal[] {
  const found = [...supplyChain(facts), ...licensing(facts), ...upkeep(facts)];
  const order = { high: 0, medium: 1, minor: 2 };
  const signals = found.toSorted((a, b) => order[a.severity] - order[b.severity]);
  return signals.length > 0 ? signals : [{ severity: "minor", text: "nothing stands out" }];
}

function* supplyChain({ dependency }: Facts): Generator<Signal> {
  const { hasInstallScript, source, hasIntegrity, scriptsBelow, transitive } = dependency;
  if (hasInstallScript) yield { severity: "high", text: "it runs an install script" };
  if (source === "missing") yield { severity: "high", text: "it is absent from package-lock.json" };
  if (source === "git" || source === "file") yield { severity: "high", text: `it comes from a ${source} address instead of a registry` };
  if (source === "registry" && !hasIntegrity) yield { severity: "high", text: "its integrity hash is missing from package-lock.json" };
  if (scriptsBelow.length > 0) yield { severity: "medium", text: `it brings packages with install scripts: ${scriptsBelow.join(", ")}` };
  if (transitive >= MANY_PACKAGES) yield { severity: "medium", text: `it brings ${transitive} further packages` };
}

function* licensing({ family, manifest, hasLicenceFile }: Facts): Generator<Signal> {
  if (family === "strong copyleft") yield { severity: "high", text: `it has the strong copyleft licence ${manifest.licence}` };
  if (family === "unknown") yield { severity: "high", text: "its licence is unknown" };
  if (family === "weak copyleft") yield { severity: "medium", text: `it has the weak copyleft licence ${manifest.licence}` };
  if (manifest.isInstalled && !hasLicenceFile) yield { severity: "minor", text: "the licence text is missing from the package" };
}

function* upkeep({ dependency, manifest }: Facts): Generator<Signal> {
  const { deprecated, version, range } = dependency;
  if (deprecated !== null) yield { severity: "high", text: `it is deprecated by its authors: ${deprecated}` };
  if (version?.includes("-")) yield { severity: "medium", text: `${version} is a prerelease` };
  if (version?.startsWith("0.")) yield { severity: "minor", text: `${version} is before 1.0: minor versions may break` };
  if (/^[\^~*><]|^latest$/.test(range)) yield { severity: "minor", text: `the range ${range} lets versions change` };
  if (!manifest.isInstalled) yield { severity: "minor", text: "it is absent from node_modules: only the lockfile was read" };
  else if (!manifest.hasRepository) yield { severity: "medium", text: "it names the place of its source code nowhere" };
}

const MANY_PACKAGES = 50;

/** The lines of a version's section (or of the newest, when it has none) that people upgrade or stay away for. */
export function relevantLines(changelog: string, version: string | null): string[] {
  const lines = changelog.split(/\r?\n/);
  const headings = lines.flatMap((line, index) => (/^(#{1,3} |\d+\.\d+\.\d+)/.test(line) && /\d+\.\d+/.test(line) ? [index] : []));
  const start = headings.find((index) => version !== null && lines[index]!.includes(version)) ?? headings[0] ?? 0;
  const end = headings.find((index) => index > start) ?? lines.length;
  const relevant = lines.slice(start, end).filter((line) => /secur|vulnerab|CVE-|breaking|deprecat|drop(s|ped)? support/i.test(line));
  return relevant
    .map((line) => line.replace(/^[\s*#-]+/, "").slice(0, 160))
    .filter((line) => line !== "")
    .slice(0, LINES_MAX);
}

const LINES_MAX = 4;
