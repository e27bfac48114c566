import { cel, t, type Builder, type Ref } from "../../language/builder.ts";
import {
  FamilyAnswer,
  findSignals,
  readChangelog,
  readLicence,
  readManifest,
  Verdict,
  type Changelog,
  type Family,
  type Input,
  type LicenceFile,
  type LockedDependency,
  type PackageManifest,
  type Signal,
  type Vars,
} from "./shapes.ts";

export type ReviewBuilder = Builder<Input, Vars>;

/** One item of `packages`. The three readers run at the same time. */
export function reviewPackage(builder: ReviewBuilder, dependency: Ref<LockedDependency>) {
  const { input, tool } = builder;
  const place = { project: input.project, package: dependency.name };
  const named = { summary: dependency.name };
  const manifest = tool("manifest", readManifest, { ...place, lockedLicence: dependency.licence }, { ...named, needs: [] });
  const licence = tool("licence", readLicence, place, { ...named, needs: [] });
  const changelog = tool("changelog", readChangelog, { ...place, version: dependency.version }, { ...named, needs: [] });
  const { family } = classify(builder, manifest, licence);
  const hasLicenceFile = cel<boolean>`${licence.file} != null`;
  const signals = tool("signals", findSignals, { dependency, manifest, family, hasLicenceFile }, named);
  const declared = cel<string>`${manifest.licence} == null ? "none declared" : ${manifest.licence}`;
  const terms = t`Licence of this ${dependency.kind} dependency: ${declared}, ${family}.`;
  const verdict = assess(builder, { dependency, signals, changelog, terms });
  return {
    name: dependency.name,
    version: dependency.version,
    kind: dependency.kind,
    licence: declared,
    family,
    transitive: dependency.transitive,
    concerns: cel<string>`${signals}.map(s, s.text).join("; ")`,
    risk: verdict.risk,
    summary: verdict.summary,
  };
}

/** By the SPDX expression; a model reads the licence only when that says nothing. */
function classify({ vars, llm, set, switchOn, input }: ReviewBuilder, manifest: Ref<PackageManifest>, licence: Ref<LicenceFile>) {
  const { choices } = manifest;
  const known = <F extends Family>(name: string, family: F, when: Ref<boolean>) => ({
    name,
    when,
    steps: () => set("known", { family }),
  });
  const cases = [
    known("permissive", "permissive", cel`${choices}.exists(set, set.all(id, id in ${vars.permissive}))`),
    known("weak", "weak copyleft", cel`${choices}.exists(set, set.all(id, id in ${vars.permissive} || id in ${vars.weakCopyleft}))`),
    known("strong", "strong copyleft", cel`${choices}.exists(set, set.exists(id, id in ${vars.strongCopyleft}))`),
    known("silent", "unknown", cel`${licence.file} == null`),
  ];
  const prompt = t`Name the family of this licence, or unknown when the text does not say:\n${cel`data(${licence.text})`}`;
  const read = () => llm("read", { model: modelOf(input), prompt, output: FamilyAnswer });
  return switchOn("classify", cases, read, { needs: [manifest, licence] });
}

interface Findings {
  dependency: Ref<LockedDependency>;
  signals: Ref<Signal[]>;
  changelog: Ref<Changelog>;
  terms: Ref<string>;
}

function assess({ llm, set, input }: ReviewBuilder, { dependency, signals, changelog, terms }: Findings) {
  // The gravest concerns by their name, the others below them.
  const concern = cel`s.severity == first(${signals}).severity ? s.severity + " concern: " : "also: "`;
  const prompt = t`Judge the risk of depending on ${dependency.name} ${dependency.version} as low, medium or high by what stands out, and summarise that in one or two sentences:
${cel`${signals}.map(s, ${concern} + s.text + ".").join("\n")`}
${terms}
${cel`data(${changelog.lines}.map(line, "Its changelog says: " + line).join("\n"))`}`;
  const unclear = () => set("unclear", { risk: "medium" as const, summary: "The model gave no usable answer; look at it yourself." });
  return llm(
    "assess",
    { model: modelOf(input), prompt, output: Verdict },
    { summary: dependency.name, needs: [signals, changelog], catch: { errors: ["model_output"], steps: unclear } },
  );
}

export const modelOf = (input: Ref<Input>): Ref<string> => cel<string>`${input}.?model.orValue("default")`;
