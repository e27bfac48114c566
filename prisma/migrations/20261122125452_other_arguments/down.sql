DROP INDEX "effects_tenant_first_key_idx";
ALTER TABLE "effects" DROP COLUMN "asked_by", DROP COLUMN "first_key";
CREATE INDEX "effects_tenant_run_id_path_idx" ON "effects"("tenant", "run_id", "path");
