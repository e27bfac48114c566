/**
 * What makers say of their models, by name (as of November 2026, docs of both). Of a name that is not known nothing is assumed: it is asked
 * as models were before there were differences.
 */
export interface ClaudeTraits {
  /** How it is asked to reason: not at all, within a number of tokens, or as hard as it is told. */
  thinking: "none" | "counted" | "adaptive";
  /** Answers by a schema without a tool that stands for it. */
  takesFormat: boolean;
  /** Refuses (400) to be held to a tool, and thoughts that stood behind other words when it had them. */
  isStrict: boolean;
  outputTokensMax?: number;
}

export function claudeTraits(name: string): ClaudeTraits {
  const version = claudeVersion(name);
  if (version === undefined) return { thinking: "counted", takesFormat: false, isStrict: false };
  return {
    thinking: version >= 4.06 ? "adaptive" : version >= 3.07 ? "counted" : "none",
    takesFormat: version >= 4.05,
    isStrict: version >= 5.01,
    outputTokensMax: claudeOutput(version, name),
  };
}

function claudeOutput(version: number, name: string): number {
  if (version >= 4.06) return 128_000;
  if (version < 3.05) return 4_096;
  if (version < 3.07) return 8_192;
  return name.includes("opus") && version < 4.05 ? 32_000 : 64_000;
}

/** 4.05 of `claude-opus-4-5-20251101`, 3.07 of `claude-3-7-sonnet-latest`: the date of a release is no version. */
function claudeVersion(name: string): number | undefined {
  const [, major, minor = "0"] = /claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?/.exec(name) ?? [];
  return major === undefined ? undefined : Number(major) + Number(minor) / 100;
}

export interface OpenAiTraits {
  /** Takes a word for how hard it is to reason; undefined where nobody knows. */
  reasons?: boolean;
  /** Its chat API lets it reason only where it is given no tools, and refuses (400) both together. */
  reasonsWithoutTools: boolean;
  /** Refuses `max_tokens`, wherever it is asked. */
  countsReasoning: boolean;
  cannot: readonly ("structured" | "tools")[];
  outputTokensMax?: number;
}

export function openAiTraits(name: string): OpenAiTraits {
  const own = ofOpenAi.test(name);
  const reasons = own && !isChatOnly.test(name);
  return {
    ...(own || isChatOnly.test(name) || isOld.test(name) ? { reasons } : {}),
    reasonsWithoutTools: reasons && /^gpt-(?:5\.[2-9]|5\.\d\d|[6-9])/.test(name),
    countsReasoning: own,
    cannot: isFirstReasoner.test(name) ? ["structured", "tools"] : isOld.test(name) && lacksSchemas.test(name) ? ["structured"] : [],
    ...outputOf(name),
  };
}

const ofOpenAi = /^(?:gpt-[5-9]|o\d)/;
const isFirstReasoner = /^o1-(?:mini|preview)/;
const isChatOnly = /^(?:chatgpt-|gpt-[5-9][\d.]*-chat|o1-(?:mini|preview))/;
const isOld = /^gpt-[34]/;
const lacksSchemas = /^(?:gpt-3|gpt-4(?![.o\d])|gpt-4o-2024-05-13)/;

function outputOf(name: string): Pick<OpenAiTraits, "outputTokensMax"> {
  const [, outputTokensMax] = openAiOutput.find(([names]) => names.test(name)) ?? [];
  return outputTokensMax === undefined ? {} : { outputTokensMax };
}

const openAiOutput: [names: RegExp, tokens: number][] = [
  [lacksSchemas, 4_096],
  [/^gpt-4o|^chatgpt-|^gpt-[5-9][\d.]*-chat/, 16_384],
  [/^gpt-4\.1|^o1-preview/, 32_768],
  [/^o1-mini/, 65_536],
  [/^o\d/, 100_000],
  [/^gpt-5/, 128_000],
];

/** Asked at OpenAI itself, or where Azure runs its models: other servers have their own rules. */
export function isOpenAis(baseUrl: string | undefined): boolean {
  if (baseUrl === undefined) return true;
  const host = URL.canParse(baseUrl) ? new URL(baseUrl).hostname : "";
  return /(?:^|\.)(?:openai\.com|openai\.azure\.com|cognitiveservices\.azure\.com|services\.ai\.azure\.com)$/.test(host);
}

/** The longest answer that a model is known to give; Infinity of one that is not known. */
export function longestAnswer({ provider, name, baseUrl }: { provider: string; name: string; baseUrl?: string | undefined }): number {
  const known =
    provider === "anthropic" ? claudeTraits(name) : provider === "openai" && isOpenAis(baseUrl) ? openAiTraits(name) : undefined;
  return known?.outputTokensMax ?? Number.POSITIVE_INFINITY;
}

/** What a model is known not to do, for those who choose among several. */
export function cannotDo({ provider, name, baseUrl }: { provider: string; name: string; baseUrl?: string | undefined }) {
  if (provider === "anthropic") return ["embedding"] as const;
  return provider === "openai" && isOpenAis(baseUrl) ? openAiTraits(name).cannot : undefined;
}
