-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "definitions" (
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "source" JSONB NOT NULL,
    "plan" JSONB NOT NULL,
    "title" TEXT,
    "description" TEXT,
    "published_by" TEXT NOT NULL,
    "published_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "definitions_pkey" PRIMARY KEY ("tenant","name","version")
);

-- CreateTable
CREATE TABLE "runs" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "workflow" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "plan_hash" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "parent_id" TEXT,
    "temporal_run_id" TEXT NOT NULL,
    "started_by" TEXT NOT NULL,
    "input" JSONB,
    "output" JSONB,
    "error" JSONB,
    "passed_errors" JSONB,
    "waiting_for" JSONB,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "last_seq" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "runs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "steps" (
    "run_id" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL DEFAULT 1,
    "output" JSONB,
    "error" JSONB,
    "usage" JSONB,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "first_seq" INTEGER NOT NULL,

    CONSTRAINT "steps_pkey" PRIMARY KEY ("run_id","path")
);

-- CreateTable
CREATE TABLE "events" (
    "run_id" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "tenant" TEXT NOT NULL,
    "identity" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "time" TIMESTAMPTZ(3) NOT NULL,
    "step" TEXT,
    "data" JSONB NOT NULL,

    CONSTRAINT "events_pkey" PRIMARY KEY ("run_id","seq")
);

-- CreateTable
CREATE TABLE "approvals" (
    "id" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "step_path" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "payload_hash" TEXT NOT NULL,
    "assignees" TEXT[],
    "quorum" INTEGER NOT NULL DEFAULT 1,
    "votes" JSONB NOT NULL DEFAULT '[]',
    "editable" BOOLEAN NOT NULL DEFAULT false,
    "form" JSONB,
    "status" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "asked_at" TIMESTAMPTZ(3) NOT NULL,
    "decided_at" TIMESTAMPTZ(3),
    "decided_by" TEXT,
    "comment" TEXT,
    "data" JSONB,
    "escalated_at" TIMESTAMPTZ(3),

    CONSTRAINT "approvals_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "listens" (
    "tenant" TEXT NOT NULL,
    "event" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "step_path" TEXT NOT NULL,

    CONSTRAINT "listens_pkey" PRIMARY KEY ("tenant","event","run_id","step_path")
);

-- CreateTable
CREATE TABLE "blobs" (
    "tenant" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "bytes" INTEGER NOT NULL,
    "value" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "blobs_pkey" PRIMARY KEY ("tenant","sha256")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "principal" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "roles" TEXT[],
    "hash" TEXT NOT NULL,
    "last4" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_keys" (
    "tenant" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "request_hash" TEXT NOT NULL,
    "status" INTEGER,
    "body" JSONB,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("tenant","route","key")
);

-- CreateIndex
CREATE INDEX "runs_tenant_started_at_id_idx" ON "runs"("tenant", "started_at" DESC, "id");

-- CreateIndex
CREATE INDEX "runs_tenant_status_started_at_id_idx" ON "runs"("tenant", "status", "started_at" DESC, "id");

-- CreateIndex
CREATE INDEX "runs_tenant_workflow_started_at_id_idx" ON "runs"("tenant", "workflow", "started_at" DESC, "id");

-- CreateIndex
CREATE INDEX "runs_parent_id_idx" ON "runs"("parent_id");

-- CreateIndex
CREATE INDEX "steps_run_id_first_seq_path_idx" ON "steps"("run_id", "first_seq", "path");

-- CreateIndex
CREATE UNIQUE INDEX "events_run_id_identity_key" ON "events"("run_id", "identity");

-- CreateIndex
CREATE INDEX "approvals_tenant_status_asked_at_id_idx" ON "approvals"("tenant", "status", "asked_at" DESC, "id");

-- CreateIndex
CREATE INDEX "approvals_run_id_idx" ON "approvals"("run_id");

-- CreateIndex
CREATE INDEX "listens_run_id_step_path_idx" ON "listens"("run_id", "step_path");

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_hash_key" ON "api_keys"("hash");

-- CreateIndex
CREATE INDEX "api_keys_tenant_idx" ON "api_keys"("tenant");

-- CreateIndex
CREATE INDEX "idempotency_keys_created_at_idx" ON "idempotency_keys"("created_at");

-- AddForeignKey
ALTER TABLE "steps" ADD CONSTRAINT "steps_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "events" ADD CONSTRAINT "events_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "approvals" ADD CONSTRAINT "approvals_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "listens" ADD CONSTRAINT "listens_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
