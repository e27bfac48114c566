DROP INDEX "runs_effect_root_idx";
DROP TABLE "effects";
