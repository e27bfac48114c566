-- AlterTable
ALTER TABLE "memories" ADD COLUMN     "embed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN     "embed_tries" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "embedded_by" TEXT;

-- CreateIndex
CREATE INDEX "memories_embedded_by_embed_at_idx" ON "memories"("embedded_by", "embed_at");
