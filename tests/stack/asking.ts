import { admin, type Model, type Page } from "./client.ts";

/** What tests of `llm` steps share. */

export const soon = { initialInterval: "10ms", maxAttempts: 3 };
export const risk = { type: "object", required: ["risk"], properties: { risk: { type: "number" } } };

export interface CallBody {
  step: string;
  index: number;
  model: string;
  status: string;
  inputTokens: number | null;
  costUsd: number | null;
  error: { code: string; detail: string } | null;
  route: { taken: string; candidates: { model: string; taken: boolean; why: string }[] } | null;
}

export const callsOf = async (run: string): Promise<CallBody[]> =>
  (await admin.get<Page<CallBody>>(`/api/v2/runs/${run}/model-calls`)).body.data.toReversed();

export const statusesOf = async (run: string): Promise<string[]> => (await callsOf(run)).map(({ status }) => status);

export const say = (wanted: Model, more: object = {}) => ({
  id: "say",
  type: "llm",
  model: wanted.wanted,
  prompt: "Hi",
  retry: soon,
  ...more,
});
