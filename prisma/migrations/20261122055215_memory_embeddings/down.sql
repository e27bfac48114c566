DROP INDEX "memories_embedded_by_embed_at_idx";
ALTER TABLE "memories" DROP COLUMN "embed_at", DROP COLUMN "embed_tries", DROP COLUMN "embedded_by";
DROP TABLE IF EXISTS "memory_vectors";
