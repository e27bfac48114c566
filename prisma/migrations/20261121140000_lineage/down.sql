DROP FUNCTION take_over(jsonb, jsonb, jsonb);
DROP INDEX "runs_fork_of_idx";
DROP INDEX "runs_retry_of_idx";
ALTER TABLE "steps" DROP COLUMN "reused_from";
ALTER TABLE "runs" DROP COLUMN "effect_root", DROP COLUMN "fork_of", DROP COLUMN "retry_of";
