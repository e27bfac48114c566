import type { Json, JsonSchema } from "./json.ts";
import type { Problem } from "./faults.ts";

/**
 * What a guardrail looks at. `input`: what the model is asked; `toolResults`: what tools give it; `output`: its answer;
 * `toolCalls`: the arguments of each call it asks for.
 */
export const guardedPlaces = ["input", "toolResults", "output", "toolCalls"] as const;
export type GuardedPlace = (typeof guardedPlaces)[number];

/** What becomes of what does not pass. */
export const guardrailOutcomes = ["retry", "raise", "fix", "human"] as const;
export type GuardrailOutcome = (typeof guardrailOutcomes)[number];

interface GuardrailCommon {
  name: string;
  on: GuardedPlace[];
  /** Of `toolCalls` and `toolResults`: of these tools only; a `*` at the end stands for the rest. */
  tools?: string[] | undefined;
  outcome: GuardrailOutcome;
  /** Of `human`: who may decide, and how long they may take. */
  assignees?: string[] | undefined;
  expiresAfter?: string | number | undefined;
}

/** A rule as people write it, and as it is kept: nothing in it is computed, so that no model's words can change it. */
export type Guardrail = GuardrailCommon &
  (
    | { type: "pattern"; pattern: string; expect?: "absent" | "present" | undefined; replaceBy?: string | undefined }
    | { type: "schema"; schema: JsonSchema }
    | { type: "model"; model: string; rule: string }
    | { type: "custom"; tool: string; version?: string | undefined; arguments?: Json | undefined }
  );

/** Rules that hold for a step. */
export interface GuardOrder {
  rules: readonly Guardrail[];
  /** So many of them, the first ones, are the published agent's. */
  ofAgent?: number | undefined;
  /** Hosts that tools may call. */
  hosts?: string[] | undefined;
  /** On whose behalf. */
  agent?: string | undefined;
}

/** What rules ask and call. */
export interface Judges {
  models: string[];
  tools: string[];
}

export const judges = (rules: readonly Guardrail[]): Judges => ({
  models: rules.flatMap((rule) => (rule.type === "model" ? [rule.model] : [])),
  tools: rules.flatMap((rule) => (rule.type === "custom" ? [rule.tool] : [])),
});

/** What people are asked about a text or a call that a rule did not let pass; the answer is bound to it. */
export interface GuardrailQuestion {
  title: string;
  payload: Json;
  assignees: string[];
  /** A duration as in definitions; null = no end. */
  expiresAfter: string | number | null;
  /** What it fails with when they refuse. */
  problem: Problem;
  /** A rule of the agent asks: no step may have others decide instead. */
  isAgents?: true;
}
