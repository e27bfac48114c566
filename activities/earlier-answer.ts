import type { EarlierAnswer } from "../prisma/model-calls.ts";
import type { LlmDeps, Question } from "./asking.ts";
import type { CallOwner } from "./model-calls.ts";
import { noUsage } from "./model-port.ts";
import type { StepContext } from "./step.ts";

interface Asker {
  owner: CallOwner;
  /** The number that the step's next call would have. */
  nextIndex: number;
  patiently: StepContext["patiently"];
}

/** An answer that stands for one that would be asked for: of the run that this one tries again, or an earlier one to the same request. */
export async function earlierAnswer(deps: LlmDeps, question: Question, asker: Asker): Promise<EarlierAnswer | undefined> {
  // Under its number: the verdicts about it are known by that.
  const paid = await asker.patiently(() => deps.calls.earlier(asker.owner));
  return paid ?? cachedAnswer(deps, question, asker);
}

/** One that no longer fits is none. */
async function cachedAnswer(deps: LlmDeps, question: Question, { owner, nextIndex }: Asker): Promise<EarlierAnswer | undefined> {
  const { cache, models } = question;
  const found = cache && (await deps.cache.find(owner.tenant, cache.hash).catch(() => null));
  if (!found || question.judge({ text: found.answer, toolCalls: [], finish: "stop", usage: noUsage }, found.model).status !== "answered")
    return undefined;
  const [provider = "", ...name] = found.model.split("/");
  return { callIndex: nextIndex, position: 0, provider, model: name.join("/"), wanted: models[0] ?? "default", answer: found.answer };
}
