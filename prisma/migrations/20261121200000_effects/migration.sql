-- CreateTable
CREATE TABLE "effects" (
    "tenant" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "call" INTEGER NOT NULL,
    "args_hash" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "tool" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "effect" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "token" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "result" JSONB,
    "error" JSONB,
    "resolved_by" TEXT,
    "opened_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "effects_pkey" PRIMARY KEY ("tenant","key","call","args_hash")
);

-- CreateIndex
CREATE INDEX "effects_tenant_run_id_path_idx" ON "effects"("tenant", "run_id", "path");

-- CreateIndex
CREATE INDEX "runs_effect_root_idx" ON "runs"("effect_root");
