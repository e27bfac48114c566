-- DropIndex
DROP INDEX "effects_tenant_run_id_path_idx";

-- AlterTable
ALTER TABLE "effects" ADD COLUMN     "asked_by" TEXT,
ADD COLUMN     "first_key" TEXT;

UPDATE "effects" SET "first_key" = split_part("key", '~', 1) WHERE "key" LIKE '%~%';

-- CreateIndex
CREATE INDEX "effects_tenant_first_key_idx" ON "effects"("tenant", "first_key");
