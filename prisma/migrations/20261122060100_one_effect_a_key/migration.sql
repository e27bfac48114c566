-- Attempts at once with other arguments had the same key: all but the first get the one that they would have had after it.
UPDATE "effects" AS later SET "key" = later."key" || '~' || left(later."args_hash", 16)
WHERE EXISTS (
  SELECT FROM "effects" AS first WHERE (first."tenant", first."key", first."call") = (later."tenant", later."key", later."call")
    AND (first."opened_at", first."args_hash") < (later."opened_at", later."args_hash"));

-- AlterTable
ALTER TABLE "effects" DROP CONSTRAINT "effects_pkey",
ADD CONSTRAINT "effects_pkey" PRIMARY KEY ("tenant", "key", "call");
