DROP TABLE "budgets";
DROP INDEX "model_calls_status_lost_at_idx";
ALTER TABLE "model_calls" DROP COLUMN "lost_at", DROP COLUMN "reservation";
