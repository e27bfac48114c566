-- Filters of GET /runs and GET /approvals that had no index: with 100,000 runs they read up to all of them.
-- Undo: DROP INDEX of the three.
-- CreateIndex
CREATE INDEX "runs_tenant_workflow_version_started_at_id_idx" ON "runs"("tenant", "workflow", "version", "started_at" DESC, "id");

-- CreateIndex
CREATE INDEX "runs_tenant_version_started_at_id_idx" ON "runs"("tenant", "version", "started_at" DESC, "id");

-- CreateIndex
CREATE INDEX "approvals_tenant_asked_at_id_idx" ON "approvals"("tenant", "asked_at" DESC, "id");
