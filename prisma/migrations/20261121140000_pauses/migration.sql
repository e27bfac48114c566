-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "holds" JSONB;

-- CreateTable
CREATE TABLE "pauses" (
    "tenant" TEXT NOT NULL,
    "workflow" TEXT NOT NULL,
    "is_paused" BOOLEAN NOT NULL,
    "timers" TEXT NOT NULL,
    "why" TEXT,
    "changed_by" TEXT NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL,
    "revision" BIGINT NOT NULL,

    CONSTRAINT "pauses_pkey" PRIMARY KEY ("tenant","workflow")
);

-- CreateTable
CREATE TABLE "auto_pauses" (
    "tenant" TEXT NOT NULL,
    "workflow" TEXT NOT NULL,
    "failure_rate" DOUBLE PRECISION NOT NULL,
    "window_ms" INTEGER NOT NULL,
    "minimum_runs" INTEGER NOT NULL,
    "set_by" TEXT NOT NULL,
    "set_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "auto_pauses_pkey" PRIMARY KEY ("tenant","workflow")
);

-- CreateTable
CREATE TABLE "audit" (
    "id" BIGSERIAL NOT NULL,
    "tenant" TEXT NOT NULL,
    "time" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "actor" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "object" TEXT NOT NULL,
    "data" JSONB NOT NULL,
    "request_id" TEXT,

    CONSTRAINT "audit_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "audit_tenant_id_idx" ON "audit"("tenant", "id" DESC);

-- CreateIndex
CREATE INDEX "audit_tenant_action_id_idx" ON "audit"("tenant", "action", "id" DESC);

-- CreateIndex
CREATE INDEX "audit_tenant_object_id_idx" ON "audit"("tenant", "object", "id" DESC);

-- CreateIndex
CREATE INDEX "runs_tenant_workflow_ended_at_idx" ON "runs"("tenant", "workflow", "ended_at");
