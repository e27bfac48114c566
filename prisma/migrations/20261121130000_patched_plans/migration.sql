-- CreateTable
CREATE TABLE "patched_plans" (
    "tenant" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "source" JSONB NOT NULL,
    "plan" JSONB NOT NULL,
    "patched_by" TEXT NOT NULL,
    "patched_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "patched_plans_pkey" PRIMARY KEY ("tenant","hash")
);
