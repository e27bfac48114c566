import { z } from "zod";
import { paged, time } from "./api.schema.ts";
import { limits } from "./limits.ts";

/** How often a tenant lets models be asked, as the HTTP API tells it. */

const count = z.int().min(1).max(limits.quotaCountMax);

export const modelQuotaBodySchema = z
  .strictObject({
    model: z
      .string()
      .max(255)
      .regex(/^[a-z]+(\/.+)?$/, "is a provider, or provider/model")
      .meta({ description: "`provider/model`, or a provider for all its models.", example: "openai/gpt-5.4-mini" }),
    requests: count.optional().meta({ description: "Within the window; no limit without it." }),
    tokens: count.optional().meta({ description: "In and out, within the window; no limit without it." }),
    windowSeconds: z
      .int()
      .min(limits.quotaWindowMinMs / 1_000)
      .max(limits.quotaWindowMaxMs / 1_000)
      .default(60),
  })
  .refine(({ requests, tokens }) => requests !== undefined || tokens !== undefined, { message: "needs `requests` or `tokens`" })
  .meta({ id: "ModelQuotaBody" });

export const modelQuotaSchema = z
  .object({
    model: z.string(),
    requests: z.int().nullable(),
    tokens: z.int().nullable(),
    windowSeconds: z.int(),
    setBy: z.string(),
    setAt: time,
  })
  .meta({ id: "ModelQuota", description: "How often the tenant's runs may ask a model, or all models of a provider together." });

export const modelQuotaPageSchema = paged("ModelQuotaPage", modelQuotaSchema);
