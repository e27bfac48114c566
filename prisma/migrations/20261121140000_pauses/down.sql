DROP TABLE "audit";
DROP TABLE "auto_pauses";
DROP TABLE "pauses";
DROP INDEX "runs_tenant_workflow_ended_at_idx";
ALTER TABLE "runs" DROP COLUMN "holds";
